"""python -m nitic"""

from nitic.cli import main

if __name__ == "__main__":
    main()
