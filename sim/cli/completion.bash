# Completion of the expertsim tool for bash. Names of parts and keys are asked from the tool itself.

_expertsim()
{
    local tool="${COMP_WORDS[0]}" word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" verb="${COMP_WORDS[1]}"
    local commands="run rerun list describe trace mrc explain verdict sweep compare search reproduce selftest calibrate validate plot report schema help" words=""
    COMPREPLY=()

    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "$commands --version --help" -- "$word"))
        return
    fi
    case "$before" in
    --out|-o|--claims|--model)
        return ;;
    --as)
        COMPREPLY=($(compgen -W "$("$tool" trace formats 2>/dev/null | sed -n 's/^  \([a-z][a-z0-9_]*\) .*/\1/p')" -- "$word"))
        return ;;
    --format|-f)
        [ "$verb" = plot ] && COMPREPLY=($(compgen -W "svg png svg,png" -- "$word"))
        return ;;
    --axes)
        COMPREPLY=($(compgen -W "tlk ltk" -- "$word"))
        return ;;
    --backend)
        COMPREPLY=($(compgen -W "$("$tool" list probe --names 2>/dev/null)" -- "$word"))
        return ;;
    --what|-w)
        COMPREPLY=($(compgen -W "miss-ratio miss-layers speed pareto latency stalls stalls-time coverage layers residency differences warm-up gains agreement fit residuals qq contention" -- "$word"))
        return ;;
    --mode)
        COMPREPLY=($(compgen -W "serial overlapped both" -- "$word"))
        return ;;
    --metric|-m)
        COMPREPLY=($(compgen -W "latency hit_rate tokens_per_s ttft stall fetched" -- "$word"))
        return ;;
    --method)
        COMPREPLY=($(compgen -W "bisect halving grid" -- "$word"))
        return ;;
    --over)
        compopt -o nospace 2>/dev/null
        COMPREPLY=($(compgen -S = -W "$("$tool" describe --names 2>/dev/null)" -- "$word"))
        return ;;
    --unit)
        COMPREPLY=($(compgen -W "token request run" -- "$word"))
        return ;;
    --policies)
        COMPREPLY=($(compgen -W "$("$tool" list policy --names 2>/dev/null)" -- "$word"))
        return ;;
    --set|-s)
        compopt -o nospace 2>/dev/null
        COMPREPLY=($(compgen -S = -W "$("$tool" describe --names 2>/dev/null)" -- "$word"))
        return ;;
    esac
    case "$verb" in
    run|rerun)  words="--set --out --timeline --window --json --quiet --volatile" ;;
    mrc)        words="--policies --scope --contract --sizes --phase --reset --prefill --config --set --model --precision --calibrate-on --json --csv --h5 --out --quiet" ;;
    compare)    words="--policies --set --metric --unit --by --confidence --resamples --seed --bounds --no-bounds --jobs --out --json --quiet" ;;
    search)     words="--target --over --set --cost --against --method --points --jobs --out --json --quiet" ;;
    explain)    words="--what-if --set --json --quiet" ;;
    verdict)    words="--set --out --json --quiet" ;;
    report)     words="--out --quiet" ;;
    selftest)   words="--set --json" ;;
    reproduce)  words="--json --markdown --replications --claims" ;;
    calibrate)
        words="--backend --plugin --budget --quick --out --expert --model --most --kind --set --name --seed --resamples --plots --json --quiet"
        [ "$COMP_CWORD" -eq 2 ] && words="fit show $words" ;;
    validate)   words="--backend --plugin --policies --repeat --mode --timeline --scale --set --option --out --json --quiet" ;;
    plot)       words="--what --list --out --format --quiet" ;;
    list)       words="policy predictor dispatcher router scheduler allocator timing tuner observer source probe --names --plugin" ;;
    describe)   words="$("$tool" describe --names 2>/dev/null)" ;;
    schema)     words="sweep" ;;
    help)       words="$commands" ;;
    sweep)
        words="--out --jobs --shard --time --memory --slurm --parallel --shards --throttle --hosts --json --partial --simulate --yes --quiet"
        [ "$COMP_CWORD" -eq 2 ] && words="plan run status collect script" ;;
    trace)
        words="--set --out --as --layers --top-k --experts --axes --map --lenient --json --append --model --like --tokens --batch --budget --window --accept --arrive --seed"
        [ "$COMP_CWORD" -eq 2 ] && words="info check import export generate fit compose formats" ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}

complete -o default -o bashdefault -F _expertsim expertsim
