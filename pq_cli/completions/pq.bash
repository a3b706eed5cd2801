# Completion of pq for bash, 4.4 or later: all of it is asked of `pq __complete`.
_pq() {
    local cur=${COMP_WORDS[COMP_CWORD]} words=(pq) raw=(0) lines=() width=0 i word value
    # readline takes --opt=value for three words
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $word == = && ${words[-1]} == --* ]]; then
            words[-1]+==
        elif [[ ${words[-1]} == --*= && ${COMP_WORDS[i-1]} == = ]]; then
            words[-1]+=$word
        else
            words+=("$word")
            raw+=("$i")
        fi
    done
    [[ $cur == = ]] && cur=
    mapfile -t lines < <(pq __complete "${words[@]:1}" 2>/dev/null)
    case ${lines[0]-} in
    files) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    dirs) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
    'command '*)
        if ((raw[${lines[0]#* } + 1] == COMP_CWORD)); then
            mapfile -t COMPREPLY < <(compgen -c -- "$cur")
        else
            compopt -o default
        fi
        return ;;
    esac
    for word in "${lines[@]}"; do
        value=${word%%$'\t'*}
        ((${#value} > width)) && width=${#value}
    done
    for word in "${lines[@]}"; do
        value=${word%%$'\t'*}
        # Descriptions are shown while there is a choice; what is inserted has none.
        if ((${#lines[@]} > 1)) && [[ $word == *$'\t'?* ]]; then
            printf -v value '%-*s  (%s)' "$width" "$value" "${word#*$'\t'}"
        elif ((${#lines[@]} == 1)); then
            printf -v value %q "$value"
        fi
        COMPREPLY+=("$value")
    done
    compopt -o nosort 2>/dev/null
    return 0
}

complete -F _pq pq
