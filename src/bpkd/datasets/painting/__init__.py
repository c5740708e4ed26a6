"""How the embedded scenes are painted; `bpkd.datasets.scenes` is what one uses."""
