#!/usr/bin/env bash
# Everything that is worth measuring on a CUDA device, in one command: the GPU tests, speeds, and reference suites.
#
#     bash benchmarks/gpu.sh [FOLDER] [PART ...]
#
# FOLDER (results/reference/speed/cuda by default) gets a log and a JSON or Markdown file a part. PARTS are those below,
# all of them by default; each goes on where another fails, and the exit code says whether all went well. Needs ganbench
# and pytest importable by `python`. Suites go to FOLDER/suites; losses-mnist wants MNIST below GANBENCH_DATA.
set -uo pipefail
cd "$(dirname "$0")/.."
out="${1:-results/reference/speed/cuda}"
shift || true
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(tests tune bench textbook seeds busy suites)
python="${PYTHON:-python}"
mkdir -p "$out"
failed=()

part() { # part NAME COMMAND...: run it with its log, and remember whether it failed
    local name="$1" started=$SECONDS
    shift
    echo "== $name: $*"
    if "$@" 2>&1 | tee -a "$out/$name.log"; then
        echo "== $name: done in $((SECONDS - started)) s"
    else
        failed+=("$name")
        echo "== $name: FAILED after $((SECONDS - started)) s"
    fi
}

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | tee "$out/device.txt"
date -u +%Y-%m-%d | tee -a "$out/device.txt"
for one in "${parts[@]}"; do
    case "$one" in
    tests)
        part tests "$python" -m pytest -q -m gpu tests -p no:cacheprovider
        ;;
    tune)
        part tune "$python" -m ganbench tune --device cuda --arch 'mlp,dcgan,sn_resnet' --loss non_saturating --dataset fake --json
        ;;
    bench)
        part bench "$python" -m ganbench bench --device cuda --arch 'mlp,dcgan,sn_resnet' --loss non_saturating \
            --precision float32,tf32,bf16 --graphs -o "$out/bench-64.json"
        part bench "$python" -m ganbench bench --device cuda --arch sn_resnet --loss hinge --batch 256 \
            --precision float32,tf32,bf16 --graphs -o "$out/bench-256.json"
        ;;
    textbook)
        part textbook "$python" benchmarks/against_textbook.py --device cuda --kernel graphs -o "$out/textbook-graphs.json"
        part textbook "$python" benchmarks/against_textbook.py --device cuda -o "$out/textbook-eager.json"
        part textbook "$python" benchmarks/against_textbook.py --device cuda --kernel graphs --kernel compile \
            --case sn_resnet:5:bf16 --case dcgan:1:float32 -o "$out/textbook-compiled.json"
        ;;
    seeds)
        part seeds "$python" benchmarks/seeds.py --device cuda --seeds 8 -o "$out/seeds-eager.json"
        part seeds "$python" benchmarks/seeds.py --device cuda --seeds 8 --graphs -o "$out/seeds-graphs.json"
        ;;
    busy)
        part busy "$python" benchmarks/busy.py -o "$out/busy.json"
        ;;
    suites)
        part suites "$python" -m ganbench run quickstart --device cuda --results "$out/suites"
        part suites "$python" -m ganbench run losses-mnist --device cuda --results "$out/suites"
        ;;
    *)
        echo "no part $one; there are: tests tune bench textbook seeds busy suites" >&2
        failed+=("$one")
        ;;
    esac
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "failed: ${failed[*]}" >&2
    exit 1
fi
