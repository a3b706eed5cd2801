"""`python -m pq_cli` is `pq`."""

from pq_cli.cli import main

if __name__ == "__main__":
    main()
