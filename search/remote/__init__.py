"""One study on many machines: a coordinator and workers that share a database and a store of files."""
