# Completion of pq for bash. Made by `pq completion bash`: do not edit.

_pq_options() {
    case $1 in
    enqueue)
        _pq_lines=(
            $'--priority\t1 (most urgent) to 10'
            $'--key\tUnique among live items'
            $'--if-exists\tIf the key is taken: skip, fail or replace'
            $'--max-attempts\tAttempts before it counts as failed'
            $'--name\tA name to show; default: FILE\'s'
            $'--metadata\tMay be repeated'
            $'--delay\tNot before D from now'
            $'--at\tNot before this time'
            $'--lines\tOne item a line'
            $'--null\tOne item a NUL record'
            $'--jsonl\tOne item a JSON record'
            $'--move\tRemove each FILE once queued'
            $'--spool\tThe spool directory'
            $'--lock-timeout\tGive up (exit 75) if the lock takes longer'
        )
        ;;
    next)
        _pq_lines=(
            $'--claim\tPrint the claim, ID.N'
            $'--path\tPrint the payload\'s path'
            $'--json\tPrint the item as JSON'
            $'--ack\tPrint the payload; done once it was written'
            $'--raw\tTo a terminal, too, a payload that is not text'
            $'--wait\tWait for work, at most D'
            $'--defer-on\tStatuses of CMD: later, uncounted'
            $'--lease\tHow long the claim holds'
            $'--spool\tThe spool directory'
            $'--lock-timeout\tGive up (exit 75) if the lock takes longer'
        )
        ;;
    run)
        _pq_lines=(
            $'--jobs\tAt most N at once'
            $'--follow\tWait for more, for ever'
            $'--max\tClaim at most N items'
            $'--max-time\tClaim nothing after D'
            $'--timeout\tStop CMD after D (exit 124)'
            $'--kill-after\tFrom TERM to KILL'
            $'--halt-after\tStop after N failures in a row'
            $'--rate\tStart at most N a second (m, h, d)'
            $'--nice\tRun at this niceness, 0 to 19'
            $'--when\tClaim only while CMD exits 0'
            $'--log\tKeep CMD\'s output with the item'
            $'--tag\tPut the id before each line'
            $'--progress\tShow how far it has come'
            $'--no-progress\tShow how far it has come'
            $'--json\tPrint events as JSON Lines'
            $'--dry-run\tPrint what would run'
            $'--defer-on\tStatuses of CMD: later, uncounted'
            $'--lease\tRenewed while CMD runs'
            $'--spool\tThe spool directory'
            $'--lock-timeout\tGive up (exit 75) if the lock takes longer'
        )
        ;;
    submit)
        _pq_lines=(
            $'--priority\t1 (most urgent) to 10'
            $'--key\tUnique among live items'
            $'--if-exists\tIf the key is taken: skip, fail or replace'
            $'--max-attempts\tAttempts before it counts as failed'
            $'--name\tA name to show'
            $'--metadata\tMay be repeated'
            $'--defer-on\tStatuses of CMD: later, uncounted'
            $'--lease\tRenewed while CMD runs'
            $'--spool\tThe spool directory'
            $'--lock-timeout\tGive up (exit 75) if the lock takes longer'
        )
        ;;
    done)
        _pq_lines=(
            $'--spool\tThe spool directory'
            $'--lock-timeout\tGive up (exit 75) if the lock takes longer'
        )
        ;;
    fail)
        _pq_lines=(
            $'--error\tWhat failed'
            $'--dead\tDo not retry'
            $'--spool\tThe spool directory'
            $'--lock-timeout\tGive up (exit 75) if the lock takes longer'
        )
        ;;
    release)
        _pq_lines=(
            $'--spool\tThe spool directory'
            $'--lock-timeout\tGive up (exit 75) if the lock takes longer'
        )
        ;;
    renew)
        _pq_lines=(
            $'--lease\tHow long from now'
            $'--spool\tThe spool directory'
            $'--lock-timeout\tGive up (exit 75) if the lock takes longer'
        )
        ;;
    ls)
        _pq_lines=(
            $'--state\tOf active, pending, delayed, held, failed, done, removed; may be repeated'
            $'--priority\tOnly this base priority'
            $'--older-than\tCreated more than D ago'
            $'--key\tKey matches'
            $'-n\tThe first N only'
            $'--all\tAll of them, also where a terminal gets a screenful'
            $'--watch\tShow it anew every D (2s); q quits'
            $'--json\tPrint JSON Lines'
            $'--color\tauto, always or never'
            $'--spool\tThe spool directory'
        )
        ;;
    show)
        _pq_lines=(
            $'--json\tPrint JSON Lines'
            $'--log\tShow what `pq run --log` kept'
            $'--spool\tThe spool directory'
        )
        ;;
    cat)
        _pq_lines=(
            $'--raw\tTo a terminal, too, what is not text'
            $'--spool\tThe spool directory'
        )
        ;;
    retry)
        _pq_lines=(
            $'--all\tAll that failed, also where the retry is still to come'
            $'--state\tAll that are failed, held or delayed; may be repeated'
            $'--priority\t1 (most urgent) to 10'
            $'--dry-run\tOnly print the ids of those it would be'
            $'--spool\tThe spool directory'
            $'--lock-timeout\tGive up (exit 75) if the lock takes longer'
        )
        ;;
    age)
        _pq_lines=(
            $'--dry-run\tReport; move nothing'
            $'--at\tAs of this time'
            $'--json\tPrint JSON Lines'
            $'--spool\tThe spool directory'
            $'--lock-timeout\tGive up (exit 75) if the lock takes longer'
        )
        ;;
    set)
        _pq_lines=(
            $'--priority\t1 (most urgent) to 10'
            $'--delay\tNot before D from now'
            $'--spool\tThe spool directory'
            $'--lock-timeout\tGive up (exit 75) if the lock takes longer'
        )
        ;;
    hold)
        _pq_lines=(
            $'--spool\tThe spool directory'
            $'--lock-timeout\tGive up (exit 75) if the lock takes longer'
        )
        ;;
    rm)
        _pq_lines=(
            $'--spool\tThe spool directory'
            $'--lock-timeout\tGive up (exit 75) if the lock takes longer'
        )
        ;;
    purge)
        _pq_lines=(
            $'--state\tOf active, pending, delayed, held, failed, done, removed; may be repeated'
            $'--older-than\tNot changed since D'
            $'--dry-run\tOnly say what would go'
            $'--spool\tThe spool directory'
            $'--lock-timeout\tGive up (exit 75) if the lock takes longer'
        )
        ;;
    undo)
        _pq_lines=(
            $'--list\tOnly say what could be brought back'
            $'--spool\tThe spool directory'
            $'--lock-timeout\tGive up (exit 75) if the lock takes longer'
        )
        ;;
    pause)
        _pq_lines=(
            $'--spool\tThe spool directory'
            $'--lock-timeout\tGive up (exit 75) if the lock takes longer'
        )
        ;;
    resume)
        _pq_lines=(
            $'--spool\tThe spool directory'
            $'--lock-timeout\tGive up (exit 75) if the lock takes longer'
        )
        ;;
    stats)
        _pq_lines=(
            $'--json\tPrint JSON Lines'
            $'--prometheus\tPrint metrics for a textfile collector'
            $'--color\tauto, always or never'
            $'--spool\tThe spool directory'
        )
        ;;
    explain)
        _pq_lines=(
            $'--json\tPrint JSON Lines'
            $'--spool\tThe spool directory'
        )
        ;;
    log)
        _pq_lines=(
            $'-n\tThe last N only'
            $'--json\tPrint JSON Lines'
            $'--spool\tThe spool directory'
        )
        ;;
    check)
        _pq_lines=(
            $'--repair\tMend what can be mended; delete no payload'
            $'--restore\tMake an item of what lies in quarantine'
            $'--json\tPrint JSON Lines'
            $'--spool\tThe spool directory'
            $'--lock-timeout\tGive up (exit 75) if the lock takes longer'
        )
        ;;
    selftest)
        _pq_lines=(
            $'--json\tPrint JSON Lines'
        )
        ;;
    migrate)
        _pq_lines=(
            $'--from\tWhat it is, if looking fails'
            $'--tz\tOf times recorded without a zone'
            $'--dry-run\tShow the plan; do nothing'
            $'--move\tRemove the files of each item that is in'
            $'--include-done\tImport done items too'
            $'--force\tAlthough something still works in SRC'
            $'--json\tPrint JSON Lines'
            $'--spool\tThe spool directory'
            $'--lock-timeout\tGive up (exit 75) if the lock takes longer'
        )
        ;;
    doctor)
        _pq_lines=(
            $'--json\tPrint JSON Lines'
            $'--spool\tThe spool directory'
        )
        ;;
    completion)
        _pq_lines=(
        )
        ;;
    export)
        _pq_lines=(
            $'--state\tOf active, pending, delayed, held, failed, done, removed; may be repeated'
            $'--tar\tA tar stream, for big payloads'
            $'--move\tThey leave when CMD has taken them'
            $'--spool\tThe spool directory'
            $'--lock-timeout\tGive up (exit 75) if the lock takes longer'
        )
        ;;
    import)
        _pq_lines=(
            $'--spool\tThe spool directory'
            $'--lock-timeout\tGive up (exit 75) if the lock takes longer'
        )
        ;;
    init)
        _pq_lines=(
            $'--drop-mode\tLet others drop files into new/: 1730'
            $'--spool\tThe spool directory'
            $'--lock-timeout\tGive up (exit 75) if the lock takes longer'
        )
        ;;
    esac
}

_pq_value() {
    _pq_kind=
    case $2 in -s|--spool) _pq_kind=dirs; return ;; esac
    case $1 in
    enqueue)
        case $2 in
        --priority|-p) _pq_kind=priorities ;;
        --key) _pq_kind=keys ;;
        --if-exists) _pq_kind=exists ;;
        --max-attempts) _pq_kind=any ;;
        --name) _pq_kind=any ;;
        -m|--metadata) _pq_kind=any ;;
        --delay) _pq_kind=any ;;
        --at) _pq_kind=any ;;
        --spool|-s) _pq_kind=dirs ;;
        --lock-timeout) _pq_kind=any ;;
        esac
        ;;
    next)
        case $2 in
        --defer-on) _pq_kind=any ;;
        --lease) _pq_kind=any ;;
        --spool|-s) _pq_kind=dirs ;;
        --lock-timeout) _pq_kind=any ;;
        esac
        ;;
    run)
        case $2 in
        -j|--jobs) _pq_kind=any ;;
        --max) _pq_kind=any ;;
        --max-time) _pq_kind=any ;;
        --timeout) _pq_kind=any ;;
        --kill-after) _pq_kind=any ;;
        --halt-after) _pq_kind=any ;;
        --rate) _pq_kind=any ;;
        --nice) _pq_kind=any ;;
        --when) _pq_kind=any ;;
        --defer-on) _pq_kind=any ;;
        --lease) _pq_kind=any ;;
        --spool|-s) _pq_kind=dirs ;;
        --lock-timeout) _pq_kind=any ;;
        esac
        ;;
    submit)
        case $2 in
        --priority|-p) _pq_kind=priorities ;;
        --key) _pq_kind=keys ;;
        --if-exists) _pq_kind=exists ;;
        --max-attempts) _pq_kind=any ;;
        --name) _pq_kind=any ;;
        -m|--metadata) _pq_kind=any ;;
        --defer-on) _pq_kind=any ;;
        --lease) _pq_kind=any ;;
        --spool|-s) _pq_kind=dirs ;;
        --lock-timeout) _pq_kind=any ;;
        esac
        ;;
    done)
        case $2 in
        --spool|-s) _pq_kind=dirs ;;
        --lock-timeout) _pq_kind=any ;;
        esac
        ;;
    fail)
        case $2 in
        --error) _pq_kind=any ;;
        --spool|-s) _pq_kind=dirs ;;
        --lock-timeout) _pq_kind=any ;;
        esac
        ;;
    release)
        case $2 in
        --spool|-s) _pq_kind=dirs ;;
        --lock-timeout) _pq_kind=any ;;
        esac
        ;;
    renew)
        case $2 in
        --lease) _pq_kind=any ;;
        --spool|-s) _pq_kind=dirs ;;
        --lock-timeout) _pq_kind=any ;;
        esac
        ;;
    ls)
        case $2 in
        --state) _pq_kind=states ;;
        --priority|-p) _pq_kind=priorities ;;
        --older-than) _pq_kind=any ;;
        --key) _pq_kind=keys ;;
        -n) _pq_kind=any ;;
        --color) _pq_kind=colors ;;
        --spool|-s) _pq_kind=dirs ;;
        esac
        ;;
    show)
        case $2 in
        --spool|-s) _pq_kind=dirs ;;
        esac
        ;;
    cat)
        case $2 in
        --spool|-s) _pq_kind=dirs ;;
        esac
        ;;
    retry)
        case $2 in
        --state) _pq_kind=states ;;
        --priority|-p) _pq_kind=priorities ;;
        --spool|-s) _pq_kind=dirs ;;
        --lock-timeout) _pq_kind=any ;;
        esac
        ;;
    age)
        case $2 in
        --at) _pq_kind=any ;;
        --spool|-s) _pq_kind=dirs ;;
        --lock-timeout) _pq_kind=any ;;
        esac
        ;;
    set)
        case $2 in
        --priority|-p) _pq_kind=priorities ;;
        --delay) _pq_kind=any ;;
        --spool|-s) _pq_kind=dirs ;;
        --lock-timeout) _pq_kind=any ;;
        esac
        ;;
    hold)
        case $2 in
        --spool|-s) _pq_kind=dirs ;;
        --lock-timeout) _pq_kind=any ;;
        esac
        ;;
    rm)
        case $2 in
        --spool|-s) _pq_kind=dirs ;;
        --lock-timeout) _pq_kind=any ;;
        esac
        ;;
    purge)
        case $2 in
        --state) _pq_kind=states ;;
        --older-than) _pq_kind=any ;;
        --spool|-s) _pq_kind=dirs ;;
        --lock-timeout) _pq_kind=any ;;
        esac
        ;;
    undo)
        case $2 in
        --spool|-s) _pq_kind=dirs ;;
        --lock-timeout) _pq_kind=any ;;
        esac
        ;;
    pause)
        case $2 in
        --spool|-s) _pq_kind=dirs ;;
        --lock-timeout) _pq_kind=any ;;
        esac
        ;;
    resume)
        case $2 in
        --spool|-s) _pq_kind=dirs ;;
        --lock-timeout) _pq_kind=any ;;
        esac
        ;;
    stats)
        case $2 in
        --color) _pq_kind=colors ;;
        --spool|-s) _pq_kind=dirs ;;
        esac
        ;;
    explain)
        case $2 in
        --spool|-s) _pq_kind=dirs ;;
        esac
        ;;
    log)
        case $2 in
        -n) _pq_kind=any ;;
        --spool|-s) _pq_kind=dirs ;;
        esac
        ;;
    check)
        case $2 in
        --restore) _pq_kind=any ;;
        --spool|-s) _pq_kind=dirs ;;
        --lock-timeout) _pq_kind=any ;;
        esac
        ;;
    migrate)
        case $2 in
        --from) _pq_kind=any ;;
        --tz) _pq_kind=any ;;
        --spool|-s) _pq_kind=dirs ;;
        --lock-timeout) _pq_kind=any ;;
        esac
        ;;
    doctor)
        case $2 in
        --spool|-s) _pq_kind=dirs ;;
        esac
        ;;
    export)
        case $2 in
        --state) _pq_kind=states ;;
        --spool|-s) _pq_kind=dirs ;;
        --lock-timeout) _pq_kind=any ;;
        esac
        ;;
    import)
        case $2 in
        --spool|-s) _pq_kind=dirs ;;
        --lock-timeout) _pq_kind=any ;;
        esac
        ;;
    init)
        case $2 in
        --drop-mode) _pq_kind=any ;;
        --spool|-s) _pq_kind=dirs ;;
        --lock-timeout) _pq_kind=any ;;
        esac
        ;;
    esac
}

_pq_operand() {
    _pq_kind=
    case $1 in
    enqueue)
        _pq_kind=files
        ;;
    next)
        _pq_kind=run
        ;;
    run)
        _pq_kind=run
        ;;
    submit)
        _pq_kind=run
        ;;
    done)
        _pq_kind=items
        ;;
    fail)
        _pq_kind=items
        ;;
    release)
        _pq_kind=items
        ;;
    renew)
        _pq_kind=items
        ;;
    show)
        _pq_kind=items
        ;;
    cat)
        _pq_kind=items
        ;;
    retry)
        _pq_kind=items
        ;;
    set)
        _pq_kind=items
        ;;
    hold)
        _pq_kind=items
        ;;
    rm)
        _pq_kind=items
        ;;
    undo)
        _pq_kind=items
        ;;
    pause)
        _pq_kind=any
        ;;
    explain)
        _pq_kind=items
        ;;
    log)
        _pq_kind=items
        ;;
    selftest)
        _pq_kind=dirs
        ;;
    migrate)
        _pq_kind=dirs
        ;;
    completion)
        _pq_kind=shells
        ;;
    export)
        _pq_kind=run
        ;;
    esac
}

_pq_fixed() {
    case $1 in
    states) _pq_lines=(active pending delayed held failed done) ;;
    colors) _pq_lines=(auto always never) ;;
    exists) _pq_lines=(skip fail replace) ;;
    priorities) _pq_lines=(1 2 3 4 5 6 7 8 9 10) ;;
    shells) _pq_lines=(bash zsh fish) ;;
    commands)
        _pq_lines=(
        $'enqueue\tadd stdin or files to the queue; print their ids'
        $'next\tclaim the next item: print it, or run a command'
        $'run\trun a command on every item, several at once'
        $'submit\trun a command on stdin now; queue it if that fails'
        $'done\tfinish claimed items'
        $'fail\ta claimed item failed: retry later, or dead letter'
        $'release\tgive claimed items back, uncounted'
        $'renew\tprolong the lease of claimed items'
        $'ls\tlist the items in the order they would be served'
        $'show\tshow all about an item'
        $'cat\tprint an item\'s payload, without claiming it'
        $'retry\tsend failed, held or delayed items back to pending'
        $'age\treport what has aged; move the manual aging clock'
        $'set\tchange an item\'s priority or delay'
        $'hold\tsuspend items until they are retried'
        $'rm\tremove items'
        $'purge\tsweep old items by state and age'
        $'undo\tbring back what rm or purge removed'
        $'pause\tlet nothing be claimed until `pq resume`'
        $'resume\tlet items be claimed again'
        $'stats\tthe shape of the queue: lanes by age, waiting times'
        $'explain\twhy an item stands where it stands'
        $'log\twhat happened lately'
        $'check\tlook for damage in the spool, and mend it'
        $'selftest\ttry pq\'s promises on a file system of yours'
        $'migrate\timport an older or foreign queue'
        $'doctor\tversions, spool, permissions: for a bug report'
        $'completion\tprint the completion script of a shell'
        $'export\twrite items as a stream, for a backup or another spool'
        $'import\tlet the items of such a stream enter'
        $'init\tmake a spool with a commented queue.toml'
        )
        ;;
    esac
}

_pq() {
    local _pq_lines=() _pq_kind= command= spool= pending= after= i word
    local found=() width=0 value
    local cur=${COMP_WORDS[COMP_CWORD]}
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ -n $pending ]]; then
            [[ $word == = ]] && continue  # readline takes --opt=value for three words
            [[ $pending == -s || $pending == --spool ]] && spool=$word
            pending=
        elif [[ $word == = ]]; then
            pending=none
        elif [[ $word == -- && -n $command ]]; then
            after=$((i + 1))
            break
        elif [[ $word == -* ]]; then
            _pq_value "$command" "$word"
            [[ -n $_pq_kind ]] && pending=$word
        elif [[ -z $command ]]; then
            command=$word
        fi
    done
    _pq_kind=
    if [[ -n $after ]]; then
        _pq_operand "$command"
        [[ $_pq_kind == run ]] && ((after == COMP_CWORD)) && COMPREPLY=($(compgen -c -- "$cur"))
        [[ $_pq_kind == run ]] && ((after < COMP_CWORD)) && compopt -o default
        return
    fi
    if [[ -n $pending ]]; then
        [[ $cur == = ]] && cur=
        _pq_value "$command" "$pending"
    elif [[ $cur == -* ]]; then
        _pq_options "$command"
        [[ -z $command ]] && _pq_lines=($'--help\tlist the commands' $'--version\ttell it')
    elif [[ -z $command ]]; then
        _pq_kind=commands
    else
        _pq_operand "$command"
    fi
    local IFS=$'\n'
    case $_pq_kind in
    files) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")) ;;
    dirs) compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur")) ;;
    items|keys)
        _pq_lines=($(pq __complete "$_pq_kind" "$command" "$cur" "$spool" 2>/dev/null)) ;;
    *) _pq_fixed "$_pq_kind" ;;
    esac
    for word in "${_pq_lines[@]}"; do
        [[ $word == "$cur"* ]] || continue
        found+=("$word")
        value=${word%%$'\t'*}
        ((${#value} > width)) && width=${#value}
    done
    for word in "${found[@]}"; do
        value=${word%%$'\t'*}
        # Descriptions are shown while there is a choice; what is inserted has none.
        if ((${#found[@]} > 1)) && [[ $word == *$'\t'?* ]]; then
            printf -v value '%-*s  (%s)' "$width" "$value" "${word#*$'\t'}"
        elif ((${#found[@]} == 1)); then
            printf -v value %q "$value"
        fi
        COMPREPLY+=("$value")
    done
    compopt -o nosort 2>/dev/null
    return 0
}

complete -F _pq pq
