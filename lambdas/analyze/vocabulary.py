"""What the embedded models can name, grouped into kinds: the data behind their categories, tags and agreement.

The classifier tells ImageNet-1k's 1,000 classes apart (120 of them dogs, none of them a person), the detector COCO's 80.
A kind is what a person would search for. It has a category, tags beyond its own name, ImageNet indices and COCO names;
through it the two models can confirm each other. Every ImageNet index belongs to one kind, every COCO name to at least
one, and the first of those decides its category.
"""

from __future__ import annotations

from dataclasses import dataclass

from lambdas.analyze.schema import Category

# category | kind | further tags | ImageNet indices | COCO names
_TABLE = """
people | person | people | 981-983 | person

animal | cat | pet | 281-285 | cat
animal | dog | pet | 151-268 | dog
animal | bird | | 7-24 80-100 127-146 | bird
animal | horse | | 339 | horse
animal | cow | cattle | 345-347 | cow
animal | sheep | | 348-349 | sheep
animal | pig | | 341-343 |
animal | elephant | wildlife | 101 385-386 | elephant
animal | zebra | wildlife | 340 | zebra
animal | giraffe | wildlife | | giraffe
animal | bear | wildlife | 294-297 | bear
animal | panda | wildlife | 387-388 |
animal | big cat | wildlife | 286-293 |
animal | wolf | wildlife | 269-275 |
animal | fox | wildlife | 277-280 |
animal | monkey | primate, wildlife | 370-382 |
animal | ape | primate, wildlife | 365-369 |
animal | lemur | primate, wildlife | 383-384 |
animal | antelope | wildlife | 350-353 |
animal | camel | | 354-355 |
animal | hippopotamus | wildlife | 344 |
animal | rabbit | | 330-332 |
animal | rodent | | 333-338 |
animal | weasel | wildlife | 356-362 |
animal | mammal | wildlife | 102-106 276 298-299 363-364 |
animal | sea mammal | sea life | 147-150 |
animal | fish | sea life | 0-6 389-397 |
animal | crustacean | sea life | 118-126 |
animal | sea creature | sea life | 107-109 112 115-117 327-329 |
animal | snail | | 113-114 |
animal | worm | | 110-111 |
animal | frog | amphibian | 30-32 |
animal | salamander | amphibian | 25-29 |
animal | turtle | reptile | 33-37 |
animal | lizard | reptile | 38-48 |
animal | crocodile | reptile | 49-50 |
animal | snake | reptile | 52-68 |
animal | fossil | | 51 69 |
animal | spider | arachnid | 72-77 |
animal | arachnid | | 70-71 78 |
animal | insect | | 79 300-320 |
animal | butterfly | insect | 321-326 |

food | dish | meal | 924-926 935 959 961-962 964-965 |
food | dessert | sweets | 927-929 960 | cake, donut
food | bread | baked goods | 930-932 |
food | sandwich | fast food | 933 | sandwich
food | hot dog | fast food | 934 | hot dog
food | pizza | fast food | 963 | pizza
food | vegetable | | 936 938-946 987 998 | carrot
food | broccoli | vegetable | 937 | broccoli
food | fruit | | 949 951-953 955-957 |
food | apple | fruit | 948 | apple
food | orange | fruit | 950 | orange
food | banana | fruit | 954 | banana

plant | flower | | 984-986 |
plant | mushroom | fungus | 947 991-997 |
plant | seed | | 988-990 |
plant | hay | farm | 958 |
plant | potted plant | | 738 | potted plant

vehicle | car | automobile | 407 436 468 511 609 627 656 661 734 751 817 | car
vehicle | car part | car | 475 479 535 581 685-686 785 |
vehicle | truck | | 555 569 675 717 803 864 867 | truck
vehicle | bus | | 654 779 874 | bus
vehicle | train | railway | 466 547 565 705 820 829 | train
vehicle | bicycle | bike | 444 671 870 880 | bicycle
vehicle | motorcycle | motorbike | 665 670 | motorcycle
vehicle | airplane | aircraft | 404 895 908 | airplane
vehicle | aircraft | | 405 417 |
vehicle | spacecraft | rocket, space | 657 744 812 |
vehicle | boat | water | 472 484 554 576 625 780 814 871 914 | boat
vehicle | ship | water, boat | 403 510 628 694 724 833 913 | boat
vehicle | military vehicle | military | 408 586 847 |
vehicle | camper | travel | 660 757 |
vehicle | cart | | 537 573 575 603 612 690 |
vehicle | machine | machinery | 517 561 595 730 802 856 866 |

building | place of worship | religion | 406 497 663 668 832 |
building | palace | historic | 483 698 |
building | monument | historic | 649 682 873 |
building | tower | | 437 442 900 |
building | bridge | | 821 839 888 |
building | shop | store | 415 424 454 467 509 582 788 860 865 |
building | restaurant | | 762 |
building | theater | stage | 498 819 854 |
building | house | home | 425 449 500 580 706 853 858 915 |
building | public building | | 624 634 727 743 |
building | ceiling | architecture | 538 884 |
building | pier | water | 460 536 718 |
building | fence | | 421 489 716 825 912 |
building | structure | | 525 540 562 645-646 755 807 |

landscape | mountain | nature | 970 972 979 |
landscape | volcano | nature, mountain | 974 980 |
landscape | coast | nature, water | 975-978 |
landscape | reef | nature, sea | 973 |

furniture | chair | seat | 423 559 765 857 | chair
furniture | couch | sofa, seat | 831 | couch
furniture | bench | seat | 703 | bench
furniture | bed | bedroom | 431 516 520 564 | bed
furniture | table | | 526 532 | dining table
furniture | cabinet | storage | 453 492-493 495 548 553 648 894 |
furniture | lamp | light | 619 846 |
furniture | room divider | | 556 789 799 |

electronics | laptop | computer | 620 681 | laptop
electronics | computer | | 527 590 592 662 664 782 |
electronics | keyboard | computer | 508 810 878 | keyboard
electronics | mouse | computer | 673 | mouse
electronics | tv | television, screen | 598 851 | tv
electronics | phone | telephone | 487 528 707 | cell phone
electronics | remote | | 761 | remote
electronics | camera | photography | 622 732 759 872 |
electronics | audio device | music | 481-482 485 605 632 650 754 848 |
electronics | office machine | office | 713 742 745 |
electronics | device | | 480 613 688 800 818 844 886 |

clothing | tie | | 451 457 906 | tie
clothing | hat | headwear | 439 452 515 518 667 715 793 796 808 |
clothing | shoe | footwear | 502 514 630 770 774 |
clothing | swimwear | | 433 445 639 842 |
clothing | underwear | | 459 496 529 806 |
clothing | dress | | 399 578 601 614 655 689 775 |
clothing | coat | | 400 474 501 568 617 735 869 887 |
clothing | top | | 610 638 697 841 |
clothing | trousers | | 608 |
clothing | suit | | 652 834 |
clothing | armour | | 461 465 490 524 615 678 |
clothing | glasses | | 836-837 |
clothing | accessory | | 411 443 464 552 584 591 658 679 824 903 |
clothing | backpack | bag | 414 | backpack
clothing | handbag | bag | 636 748 893 | handbag
clothing | suitcase | bag, luggage | | suitcase
clothing | umbrella | | 879 | umbrella

document | book | print | 917 921 | book
document | page | text | 916 918 922 |
document | stationery | office | 446 549 |
document | plaque | text | 458 |

artwork | sculpture | carving | 607 708 863 |
artwork | mask | | 643 |

sports | ball | | 429-430 522 574 722 768 805 852 890 | sports ball
sports | tennis racket | | 752 | tennis racket
sports | ski | snow | 795 | skis, snowboard
sports | board | outdoors | | skateboard, surfboard
sports | flying toy | toy | | frisbee, kite
sports | baseball gear | baseball | | baseball bat, baseball glove
sports | gym equipment | exercise | 416 422 543 602 702 747 |
sports | sports equipment | | 450 456 560 693 701 736 746 758 781 801 |
sports | camping gear | outdoors | 672 797 |

household | cup | tableware | 504 968 | cup
food | coffee | drink | 967 | cup
household | wine glass | tableware | 441 572 | wine glass
food | drink | | 966 969 | wine glass
household | bottle | | 440 720 737 898-899 901 907 | bottle
household | bowl | tableware | 659 809 | bowl
household | cutlery | tableware | 618 813 910 | fork, knife, spoon
household | tableware | kitchen | 725 868 923 |
household | cookware | kitchen | 469 505 521 544 567 647 766 849 909 |
household | kitchen utensil | kitchen | 473 499 503 512 666 729 773 828 |
household | microwave | kitchen appliance | 651 | microwave
household | oven | kitchen appliance | 827 | oven
household | toaster | kitchen appliance | 859 | toaster
household | refrigerator | kitchen appliance | 760 | refrigerator
household | kitchen appliance | kitchen | 534 550 891 |
household | sink | bathroom | 896 | sink
household | toilet | bathroom | 861 | toilet
household | bathroom item | bathroom | 434-435 700 794 804 876 999 |
household | toothbrush | bathroom | | toothbrush
household | hair drier | bathroom | 589 | hair drier
household | cosmetics | | 551 585 629 631 711 838 |
household | medical supply | health | 419 523 570 680 691 823 830 845 |
household | clock | time | 409 530-531 604 826 835 892 | clock
household | vase | | 883 | vase
household | scissors | | | scissors
household | teddy bear | toy | 850 | teddy bear
household | toy | play | 476 611 719 723 843 |
household | piano | musical instrument, music | 579 881 |
household | guitar | musical instrument, music | 402 420 546 714 |
household | violin | musical instrument, music | 486 889 |
household | drum | musical instrument, music | 541-542 577 641-642 822 |
household | musical instrument | music | 401 432 494 513 558 566 593-594 683-684 687 699 776 875 902 |
household | home appliance | | 545 606 753 786 811 882 897 |
household | tool | | 462 477 491 587 596 621 623 677 695 710 726 731 740 769 772 783-784 792 816 840 855 862 |
household | textile | | 533 539 669 721 741 750 885 904-905 911 |
household | writing material | office | 418 563 696 709 749 767 798 |
household | container | storage | 412 427 463 478 519 588 653 692 728 756 771 790-791 |
household | candle | light | 470 626 644 |
household | garden item | outdoors | 428 448 739 |

other | traffic light | street | 920 | traffic light
other | street sign | street | 919 | stop sign
other | street furniture | street | 557 571 637 640 733 | fire hydrant
other | parking meter | street | 704 | parking meter
other | weapon | | 413 471 583 597 763-764 777 787 |
other | instrument | science | 398 426 438 447 633 635 712 778 |
other | bubble | | 971 |
other | object | | 410 455 488 506-507 599-600 616 674 676 815 877 |
"""


@dataclass(frozen=True)
class Kind:
    name: str
    category: Category
    further_tags: tuple[str, ...]
    imagenet: tuple[int, ...]
    coco: tuple[str, ...]


def _indices(cell: str) -> tuple[int, ...]:
    spans = (entry.partition("-") for entry in cell.split())
    return tuple(index for first, _, last in spans for index in range(int(first), int(last or first) + 1))


def _names(cell: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in cell.split(",") if name.strip())


def _kind(row: str) -> Kind:
    category, name, further_tags, imagenet, coco = (cell.strip() for cell in row.split("|"))
    return Kind(name, Category(category), _names(further_tags), _indices(imagenet), _names(coco))


KINDS = tuple(_kind(row) for row in _TABLE.splitlines() if row)
