"""Real servers, as they come from their registries.

    run.py table [SERVER...]        what each does by default: the table in docs/upstreams.md
    run.py check GATEWAY [COUNT]    some of them behind a gateway of this binary

Needs what `requirements.txt` lists; of the others those are taken that are installed. With `NODE_PATH` set to a folder in which
`npm install fastify` was run, Fastify is one.
"""

import sys

match sys.argv[1:]:
    case ["table", *names]:
        import table

        table.run(names or None)
    case ["check", binary, *count]:
        import check

        check.run(binary, int(count[0]) if count else 300)
    case _:
        sys.exit(__doc__)
