"""How every variant runs a program: its calls and its memory."""

from __future__ import annotations

from nitic import pipeline
from nitic.codegen.output import cache, source
from nitic.codegen.output.processes import in_processes
from nitic.codegen.output.source import Variant
from nitic.driver.watcher import Watcher
from nitic.program import Program


def plan(program: Program, watch: Watcher | None = None, use_cache: bool = False) -> list[Variant]:
    """The calls and the memory of every variant: out of the cache, unless somebody watches how they come about."""
    watched = watch is not None and watch.is_on
    kept = cache.Cache(cache.cache_folder() if use_cache and not watched else None)
    name = cache.plan_name(program.identity, program.variants)
    if found := kept.read("plans", name):
        return source.unpack(found)
    variants = _compute(program, watch)
    kept.write("plans", name, source.pack(variants))
    return variants


def _compute(program: Program, watch: Watcher | None) -> list[Variant]:
    """Runs the passes of each variant in a process of its own, which gives back text only."""
    module = program.module.clone()
    # Not verified by itself: each variant verifies the module at the end of its own passes.
    pipeline.run_passes(module, pipeline.shared_passes(program.variants), watch, "never")

    def work(i: int) -> Variant:
        name = program.variants[i]
        own = module.clone()  # one process may have to do several
        pipeline.run_passes(own, pipeline.variant_passes(name), watch.of(name) if watch else None, "end")
        return source.describe(name, own)

    prints = watch is not None and (watch.before or watch.after)
    return in_processes(work, len(program.variants), jobs=1 if prints else None)
