"""Every knob of the system, in one typed place; nothing else reads `os.environ` for configuration.

Values come from environment variables, `MEDIA_<FIELD>` unless a field names its own; an empty variable counts as unset.
`media-assets env` prints those of the running one-machine stack.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from media_assets.cuts import Cut, FixedCut

ModelProvider = Literal["local", "openai"]
Dollars = Annotated[Decimal, Field(ge=0)]
UserId = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
EMBEDDED_DETECTOR = "local/nanodet-g-416"
T = TypeVar("T")
_PROJECT = Path(__file__).resolve().parents[1]
_SECRET = {"openai_api_key", "database", "owner_database", "relay_database", "eraser_database"}


class SettingMissingError(RuntimeError):
    """A setting that has no default is needed, and its environment variable is not set."""

    def __init__(self, variable: str) -> None:
        super().__init__(f'{variable} is not set. One-machine stack: media-assets up; eval "$(media-assets env)"')
        self.variable = variable


class ModelPrice(BaseModel):
    """Dollars per million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Dollars
    output: Dollars = Decimal(0)


_OPENAI_PRICES = {
    "gpt-4.1": ModelPrice(input=Decimal("2"), output=Decimal("8")),
    "gpt-4.1-mini": ModelPrice(input=Decimal("0.40"), output=Decimal("1.60")),
    "gpt-4.1-nano": ModelPrice(input=Decimal("0.10"), output=Decimal("0.40")),
    "gpt-4o": ModelPrice(input=Decimal("2.50"), output=Decimal("10")),
    "gpt-4o-mini": ModelPrice(input=Decimal("0.15"), output=Decimal("0.60")),
    "text-embedding-3-small": ModelPrice(input=Decimal("0.02")),
    "text-embedding-3-large": ModelPrice(input=Decimal("0.13")),
}
"""OpenAI's list prices of 2025."""


class Settings(BaseSettings):
    """Frozen; read it through `get_settings()`. Tests construct it with keyword arguments (field names)."""

    model_config = SettingsConfigDict(
        env_prefix="MEDIA_", env_ignore_empty=True, frozen=True, extra="forbid", populate_by_name=True
    )

    # Where things are.
    stage: str = Field(default="local", pattern=r"^[a-z][a-z0-9-]{0,19}$")
    """Names one deployment; part of every AWS resource name."""
    state_dir: Path = _PROJECT / ".media-assets"
    """Folder of the one-machine stack's data: of the project, whichever folder a command is given in. Absolute when read."""
    bucket_name: str | None = Field(default=None, validation_alias="MEDIA_BUCKET")
    """Read it as `bucket`."""
    upload_queue: str | None = Field(default=None, validation_alias="MEDIA_UPLOAD_QUEUE_URL")
    """Read it as `upload_queue_url`."""
    database: SecretStr | None = Field(default=None, validation_alias="DATABASE_URL")
    """Event log and read models, as a libpq URL (`postgresql://…`), which psql takes too. Read it as `database_url`."""
    owner_database: SecretStr | None = Field(default=None, validation_alias="MEDIA_OWNER_DATABASE_URL")
    """The same database as its owner, who migrates it and replays into a shadow schema. Read it as `owner_database_url`."""
    relay_database: SecretStr | None = Field(default=None, validation_alias="MEDIA_RELAY_DATABASE_URL")
    """The same database as the role that publishes the log. Read it as `relay_database_url`."""
    eraser_database: SecretStr | None = Field(default=None, validation_alias="MEDIA_ERASER_DATABASE_URL")
    """The same database as the role that may erase items. Read it as `eraser_database_url`."""
    event_bus_name: str | None = Field(default=None, validation_alias="MEDIA_EVENT_BUS")
    """EventBridge bus that the log is published on. Read it as `event_bus`."""
    anchor_bucket_name: str | None = Field(default=None, validation_alias="MEDIA_ANCHOR_BUCKET")
    """Bucket under Object Lock that keeps anchors of the log's hash chain. Read it as `anchor_bucket`."""
    ecs_engine: Literal["processes", "docker"] = "processes"
    """What the one-machine stack runs ECS tasks in: plain processes, or the Docker host at DOCKER_HOST."""
    dagster_url: str | None = Field(default=None, validation_alias="DAGSTER_URL")
    """Address of the Dagster UI, for links that people click."""

    # What is accepted.
    first_hour: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    """The first hourly partition, a full UTC hour in ISO 8601 (`2026-01-01T00:00Z`); earlier objects belong to it."""
    max_upload_bytes: int = Field(default=100_000_000, gt=0)
    max_pixels: int = Field(default=100_000_000, gt=0)
    """Width times height, as stored; larger pictures are refused before they are decoded."""
    max_video_bytes: int = Field(default=2_000_000_000, gt=0)
    max_video_pixels: int = Field(default=36_000_000, gt=0)
    """Of one frame, as stored: 8K has 33 million."""
    max_video_seconds: float = Field(default=4 * 3600, gt=0)
    max_video_frames: int = Field(default=1_000_000, gt=0)
    """Duration times frame rate; four hours at 60 a second have 864,000."""

    # What work costs: list prices of us-east-1 and of OpenAI, 2025. Whatever is recorded is recorded at these.
    lambda_gb_second_dollars: Dollars = Decimal("0.0000166667")
    """x86, first tier; a GB is 1,024 MB."""
    lambda_request_dollars: Dollars = Decimal("0.0000002")
    fargate_vcpu_hour_dollars: Dollars = Decimal("0.04048")
    """Linux on x86, on demand."""
    fargate_gb_hour_dollars: Dollars = Decimal("0.004445")
    model_prices: dict[str, ModelPrice] = Field(default={}, validate_default=True)
    """By name, in JSON: `{"some-model": {"input": 0.4, "output": 1.6}}`. They add to, or replace, the ones known here."""

    # What may be spent in a day (UTC) on steps that call models.
    daily_budget_dollars: Dollars | None = None
    """Of each user; unset: as much as it takes."""
    user_daily_budgets_dollars: dict[UserId, Dollars | None] = {}
    """Of single users, in JSON: `{"ada": 2.5, "grace": null}`; null: as much as it takes."""

    # How results look. Part of the steps' recipes: a change makes existing results stale.
    thumbnail_sizes_px: tuple[int, ...] = (256, 800, 1600)
    """Long sides, ascending; in the environment a JSON list."""
    thumbnail_quality: int = Field(default=80, ge=1, le=100)
    """WebP quality."""
    thumbnail_method: int = Field(default=2, ge=0, le=6)
    """WebP effort: 0 is fastest, 6 is smallest."""
    openai_api_key: SecretStr | None = Field(default=None, validation_alias="OPENAI_API_KEY")
    """Seen only by what starts the one-machine stack, which hands it to Secrets Manager; functions read it there."""
    model_provider: ModelProvider = Field(default_factory=lambda fields: "openai" if fields.get("openai_api_key") else "local")
    """`openai`, any endpoint that speaks its protocol, when a key is set; otherwise the embedded models."""
    model_base_url: str | None = None
    """Endpoint of the `openai` provider; unset means OpenAI's own."""
    analyze_model: str = Field(default_factory=lambda fields: _model_defaults(fields).analyze_model)
    analyze_input_px: int = Field(default=800, gt=0)
    """Which thumbnail the analysis looks at, by its long side; one of `thumbnail_sizes_px`."""
    vary_model: str | None = Field(default_factory=lambda fields: _chat_model(fields))
    """A hosted chat model that varies the text of a job; unset: the one that analyses pictures, if that is a hosted one, else
    none, and jobs that ask for variations are refused."""
    embed_model: str = Field(default_factory=lambda fields: _model_defaults(fields).embed_model)
    embed_dimensions: int = Field(default_factory=lambda fields: _model_defaults(fields).embed_dimensions, gt=0)
    detect_model: str = EMBEDDED_DETECTOR
    """The embedded detector, or the key of an ONNX file under `models/` in the media bucket."""
    detect_model_sha256: Sha256 | None = None
    """Of that file: it, not the key, says which model it is."""
    detect_labels: str | None = None
    """Key, under `models/` too, of that model's labels: a text file in UTF-8, one label a line, in the model's order."""
    detect_labels_sha256: Sha256 | None = None
    detect_input_px: int = Field(default_factory=lambda fields: _nearest(800, fields.get("thumbnail_sizes_px", (800,))))
    """Which thumbnail the detector looks at, by its long side; unset: the one nearest to 800."""
    detect_min_confidence: float = Field(default=0.4, ge=0.01, le=1)
    """From which confidence on a thing counts as found."""
    frames_per_minute: float = Field(default=20, gt=0, le=60)
    """How many representative frames of a video become items at most; a shot gives one at most."""
    frames_max: int = Field(default=120, gt=0, le=1000)
    """Of one video, however long."""
    frames_max_side_px: int = Field(default=1920, ge=256, le=8192)
    """Long side of a frame; a larger video's frames are scaled down."""
    frames_quality: int = Field(default=90, ge=1, le=95)
    """JPEG quality."""
    segment_cut: Cut = Field(default_factory=lambda: FixedCut(duration_seconds=10))
    """How a video without a job is cut, in JSON: `{"type": "fixed", "duration_seconds": 10}`, or `random` or `scenes` like
    `{"type": "scenes", "min_duration": 2, "max_duration": 60}`."""
    segment_exact: bool = False
    """Cut exactly there, which encodes anew; otherwise at keyframes, where the source allows it."""
    segment_crf: int = Field(default=23, ge=0, le=51)
    """x264's constant rate factor where video is encoded: lower is better and larger."""
    segment_preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"] = "veryfast"
    """x264's speed."""
    segment_max: int = Field(default=2000, gt=0, le=10_000)
    """Segments that a job may ask for. Four hours in pieces of 10 s are 1,440."""

    # How work is done.
    upload_sensor_interval_seconds: int = Field(default=4, gt=0)
    """Dagster looks every 5 s whose interval is over; one of 5 s is just not, so it would tick every 10 s."""
    sensor_wait_seconds: int = Field(default=10, ge=0, le=20)
    """How long a tick waits for a first upload, or for work to ask a run for; 0: it takes what is there."""
    upload_sensor_budget_seconds: float = Field(default=20, gt=0, lt=30)
    """How long one tick drains the queue from its first upload on; Dagster kills a tick after 60 s."""
    pending_work_sensor_interval_seconds: int = Field(default=4, gt=0)
    lease_seconds: int = Field(default=30, gt=0)
    """A claim that its run stopped renewing is pending again after this long."""
    dispatch_threads: int = Field(default=3, gt=0)
    """Concurrent invocations of one run, and as many tasks. Times concurrent runs, it stays under the functions' reserved
    concurrency. On one machine a batch more than cores keeps them busy while another one is verified and committed."""
    batch_max_items: int = Field(default=64, gt=0)
    batch_max_bytes: int = Field(default=64_000_000, gt=0)
    batch_max_pixels: int = Field(default=100_000_000, gt=0)
    """About three seconds of decoding and scaling on one core. A single larger item is a batch of its own."""
    batch_max_model_calls: int = Field(default=4, gt=0)
    """Items of a batch that calls a paid model, whose answers take seconds each."""
    model_timeout_seconds: float = Field(default=300, gt=0)
    """One attempt of a model call."""
    analyze_max_tokens_in: int = Field(default=32_000, gt=0)
    """The most that a hosted model makes of the prompt (constant) and a picture of `analyze_input_px`: what an analysis
    reserves of a budget. No request can bound it; of OpenAI's models gpt-4o-mini makes the most of a picture, 25,501."""
    analyze_max_answer_tokens: int = Field(default=8192, gt=0)
    """Where a hosted model's answer is cut off, and so invalid. An analysis takes some hundred tokens; models that reason
    first count that too."""
    vary_max_answer_tokens: int = Field(default=16_384, gt=0)
    """The same for the variations of a text, at most a hundred short ones."""
    ecs_subnets: tuple[str, ...] = ()
    """Subnets of ECS tasks, in JSON. The one-machine stack needs none."""
    ecs_security_groups: tuple[str, ...] = ()
    """Security groups of ECS tasks, in JSON."""
    ecs_min_items: int = Field(default=100, gt=0)
    """From how many waiting items on a step that can run on ECS does: fewer are done by Lambda before a task has started."""
    ecs_max_items: int = Field(default=500, gt=0)
    """Items of one task."""
    ecs_gather_seconds: float = Field(default=60, ge=0)
    """How long items wait for enough others to be worth a task; then Lambda does the few."""
    lambda_max_video_bytes: int = Field(default=200_000_000, gt=0)
    """Videos above this are for ECS; so are those that take longer than `lambda_max_work_seconds`."""
    lambda_max_work_seconds: float = Field(default=60, gt=0)
    """Estimated seconds of work on one video that Lambda, where it can take some 12 times that, is asked to do."""
    ecs_poll_seconds: float = Field(default=1, gt=0)
    """How often a task under way is looked at."""
    ecs_start_seconds: float = Field(default=300, gt=0)
    """How long a task may take to start; after that it is stopped, and ECS counts as unavailable."""
    invoke_timeout_seconds: float = Field(default=910, gt=900)
    """How long dispatch waits for a function's answer; above Lambda's longest run, 900 s."""
    max_attempts: int = Field(default=5, gt=0)
    """Failures of a file's own before its step is dead."""
    retry_base_seconds: float = Field(default=10, gt=0)
    """Wait after the first failure, doubled after each further one; breakers use the same."""
    retry_max_seconds: float = Field(default=120, gt=0)
    relay_poll_seconds: float = Field(default=1, gt=0)
    """How often the relay looks for new events when it has published all; its first wait in an outage is as long."""
    contact_sheet_base_url: str | None = None
    """Where browsers reach the bucket's objects, for pictures on materializations; unset: none are made. Whoever reads
    Dagster's history sees them. The one-machine stack sets it."""

    @property
    def bucket(self) -> str:
        """Raises SettingMissingError, as the other accessors do."""
        return _required(self.bucket_name, "MEDIA_BUCKET")

    @property
    def upload_queue_url(self) -> str:
        return _required(self.upload_queue, "MEDIA_UPLOAD_QUEUE_URL")

    @property
    def database_url(self) -> str:
        """For SQLAlchemy. In clear text: it may hold a password, so hand it to nothing that prints."""
        return _sqlalchemy_url(_required(self.database, "DATABASE_URL"))

    @property
    def owner_database_url(self) -> str:
        """For SQLAlchemy, in clear text."""
        return _sqlalchemy_url(_required(self.owner_database, "MEDIA_OWNER_DATABASE_URL"))

    @property
    def relay_database_url(self) -> str:
        """For SQLAlchemy, in clear text."""
        return _sqlalchemy_url(_required(self.relay_database, "MEDIA_RELAY_DATABASE_URL"))

    @property
    def eraser_database_url(self) -> str:
        """For SQLAlchemy, in clear text."""
        return _sqlalchemy_url(_required(self.eraser_database, "MEDIA_ERASER_DATABASE_URL"))

    @property
    def event_bus(self) -> str:
        return _required(self.event_bus_name, "MEDIA_EVENT_BUS")

    @property
    def anchor_bucket(self) -> str:
        return _required(self.anchor_bucket_name, "MEDIA_ANCHOR_BUCKET")

    @property
    def model_api_key_secret_name(self) -> str:
        """Secrets Manager's name of the model endpoint's API key."""
        return f"media-assets-{self.stage}/model-api-key"

    @property
    def cloudformation_stack_name(self) -> str:
        return f"media-assets-{self.stage}"

    def daily_budget_micro_dollars(self, user_id: str) -> int | None:
        """What a user may spend in a day (UTC) on steps that call models; None: as much as it takes."""
        dollars = self.user_daily_budgets_dollars.get(user_id, self.daily_budget_dollars)
        return None if dollars is None else int(dollars * 1_000_000)

    @property
    def has_budgets(self) -> bool:
        """Whether there may be a user with one."""
        return any(each is not None for each in (self.daily_budget_dollars, *self.user_daily_budgets_dollars.values()))

    def function_name(self, step: str) -> str:
        """The Lambda function of a step."""
        return f"media-assets-{self.stage}-{step}"

    def task_family(self, step: str) -> str:
        """The ECS task definitions of a step."""
        return f"media-assets-{self.stage}-{step}"

    @property
    def ecs_cluster(self) -> str:
        return f"media-assets-{self.stage}"

    def as_environment(self) -> dict[str, str]:
        """Variables from which another process reads the same settings: those that were given, none that may be secret."""
        given = self.model_dump(mode="json", include=self.model_fields_set | {"model_provider"}, exclude=_SECRET)
        return {
            variable_of(name): value if isinstance(value, str) else json.dumps(value)
            for name, value in given.items()
            if value is not None
        }

    @field_validator("state_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("first_hour")
    @classmethod
    def _full_utc_hour(cls, value: datetime) -> datetime:
        if value.utcoffset() != timedelta(0) or value.minute or value.second or value.microsecond:
            raise ValueError(f"{value.isoformat()} is not a full hour in UTC; write it like 2026-01-01T00:00Z")
        return value.astimezone(UTC)

    @field_validator("model_prices")
    @classmethod
    def _added_to_the_known(cls, value: dict[str, ModelPrice]) -> dict[str, ModelPrice]:
        return _OPENAI_PRICES | value

    @field_validator("thumbnail_sizes_px")
    @classmethod
    def _ascending(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or value[0] < 1 or list(value) != sorted(set(value)):
            raise ValueError(f"{list(value)} must be distinct positive numbers of pixels, ascending")
        return value

    @model_validator(mode="after")
    def _hosted_models_have_prices(self) -> Settings:
        """What is paid must be known before it is spent: costs and budgets would be wrong without a word."""
        unknown = {model: {"input": 0.4, "output": 1.6} for model in self._hosted_models() if model not in self.model_prices}
        if unknown:
            raise ValueError(
                f"what {' and '.join(unknown)} costs is not known; say it in dollars per million tokens, 0 if it costs"
                f" none, like MEDIA_MODEL_PRICES='{json.dumps(unknown)}'"
            )
        return self

    def _hosted_models(self) -> list[str]:
        of_pictures = (self.analyze_model, self.embed_model) if self.model_provider == "openai" else ()
        return [model for model in dict.fromkeys((*of_pictures, self.vary_model)) if model and not model.startswith("local/")]

    @field_validator("vary_model")
    @classmethod
    def _hosted(cls, value: str | None) -> str | None:
        if value is not None and value.startswith("local/"):
            raise ValueError(f"{value} is an embedded model, and none of them writes; name a chat model, or leave it unset")
        return value

    @model_validator(mode="after")
    def _detector_is_whole(self) -> Settings:
        named = {
            variable_of(field): getattr(self, field)
            for field in ("detect_model_sha256", "detect_labels", "detect_labels_sha256")
        }
        if self.detect_model == EMBEDDED_DETECTOR:
            if given := [name for name, value in named.items() if value is not None]:
                raise ValueError(f"{' and '.join(given)} say nothing about {EMBEDDED_DETECTOR}; set MEDIA_DETECT_MODEL too")
        elif missing := [name for name, value in named.items() if value is None]:
            raise ValueError(f"MEDIA_DETECT_MODEL={self.detect_model} needs {' and '.join(missing)} too")
        for key in (self.detect_model, self.detect_labels):
            if key is not None and key != EMBEDDED_DETECTOR and not key.startswith("models/"):
                raise ValueError(f"{key} is not a key under models/, nor {EMBEDDED_DETECTOR}: the detector can't read it")
        if self.detect_input_px not in self.thumbnail_sizes_px:
            raise ValueError(
                f"MEDIA_DETECT_INPUT_PX is {self.detect_input_px}; thumbnails have {list(self.thumbnail_sizes_px)} px"
            )
        return self


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The process's settings, read from its environment once. Raises ValidationError for a value out of range."""
    return Settings()


def variable_of(field: str) -> str:
    """The environment variable of a setting."""
    return str(Settings.model_fields[field].validation_alias or f"MEDIA_{field.upper()}")


class _ModelDefaults(NamedTuple):
    analyze_model: str
    embed_model: str
    embed_dimensions: int


def _model_defaults(fields: dict[str, Any]) -> _ModelDefaults:
    if fields.get("model_provider") == "openai":
        return _ModelDefaults("gpt-4.1-mini", "text-embedding-3-small", 1536)
    return _ModelDefaults("local/efficientnet-lite0+nanodet-g", "local/all-minilm-l6-v2-int8", 384)


def _chat_model(fields: dict[str, Any]) -> str | None:
    model: str | None = fields.get("analyze_model") if fields.get("model_provider") == "openai" else None
    return None if model is None or model.startswith("local/") else model


def _nearest(pixels: int, sizes: tuple[int, ...]) -> int:
    return min(sizes, key=lambda size: abs(size - pixels))


def _sqlalchemy_url(url: SecretStr) -> str:
    scheme, _, rest = url.get_secret_value().partition("://")
    return f"{scheme.partition('+')[0]}+psycopg://{rest}"


def _required(value: T | None, variable: str) -> T:
    if value is None:
        raise SettingMissingError(variable)
    return value
