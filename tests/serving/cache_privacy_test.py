"""Nobody learns from the prefix cache what another tenant has asked: a prompt that another tenant has cached takes as
long, and computes as much, as one that nobody has. The same tenant's own prompts show that the measurement can tell.
"""
import random
import re
import time
import urllib.request

import pytest

from support import lockstep
from support.gateway import Gateway
from support.random_model import Case

PROMPT_TOKENS = 768
CACHED_TOKENS = PROMPT_TOKENS - 16  # Whole blocks, but the last token is always computed.
VOCABULARY = 300


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("privacy")
    case = Case.behaving()
    case.context = 1024
    case.gguf().write(folder / "tiny.gguf")
    gateway = Gateway(folder / "state", "--ranks-as", "threads", "--kv-blocks", 2048, auth=True,
                      model=lockstep.shard(folder / "tiny.gguf", folder / "store"))
    try:
        gateway.tenants = {name: gateway.make_key(name) for name in ("victim", "spy")}
        gateway.admin = gateway.make_key("operator", "--scope", "admin")
        gateway.wait_ready()
        time.sleep(1.5)  # The keys are read anew each second.
        yield gateway
    finally:
        gateway.close()


def ask(gateway, tenant, prompt):
    """Seconds to the one token."""
    body = {"model": "smollm2", "prompt": prompt, "max_tokens": 1, "temperature": 0, "ignore_eos": True}
    began = time.perf_counter()
    gateway.ask("/v1/completions", body, headers={"Authorization": f"Bearer {gateway.tenants[tenant]}"})
    return time.perf_counter() - began


def cache_hits(gateway):
    """Tokens that came from the cache so far."""
    time.sleep(1.5)  # Figures are a beat and a report old.
    asked = urllib.request.Request(gateway.url + "/metrics", headers={"Authorization": f"Bearer {gateway.admin}"})
    with urllib.request.urlopen(asked, timeout=20) as answer:
        (value,) = re.findall(r"^lockstep_prefix_cache_hits_total\S* (\d+)", answer.read().decode(), re.MULTILINE)
    return int(value)


def trial(gateway, draw):
    """A prompt that the victim has asked, one that nobody has and one of the spy's own, in random order."""
    prompts = {name: [draw.randrange(2, VOCABULARY) for _ in range(PROMPT_TOKENS)]
               for name in ("victims", "nobodys", "own")}
    ask(gateway, "victim", prompts["victims"])
    ask(gateway, "spy", prompts["own"])
    names = draw.sample(sorted(prompts), len(prompts))
    return {name: ask(gateway, "spy", prompts[name]) for name in names}


def auc(left, right):
    """The chance that one of `left` is smaller than one of `right`; 0.5: nothing can be told."""
    won = sum((a < b) + 0.5 * (a == b) for a in left for b in right)
    return won / (len(left) * len(right))


def measure(gateway, trials, seed):
    draw = random.Random(seed)
    before = cache_hits(gateway)
    found = [trial(gateway, draw) for _ in range(trials)]
    # Exactly what the spy asked twice.
    assert cache_hits(gateway) - before == trials * CACHED_TOKENS
    times = {name: [one[name] for one in found] for name in found[0]}
    across, within = auc(times["victims"], times["nobodys"]), auc(times["own"], times["nobodys"])
    print(f"{trials} trials: AUC across tenants {across:.3f} (promised 0.5 +- 0.05), within one {within:.3f}")
    assert within > 0.9
    return across


def test_the_cache_tells_tenants_nothing_of_each_other(gateway):
    # Of 60 trials chance alone makes 0.053 (one standard deviation).
    assert abs(measure(gateway, 60, seed=1) - 0.5) < 0.2


@pytest.mark.long
def test_the_cache_tells_tenants_nothing_in_2000_trials(gateway):
    assert abs(measure(gateway, 2000, seed=2) - 0.5) < 0.05
