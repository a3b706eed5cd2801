"""Completion scripts for bash, zsh and fish, made from what the commands accept.

The scripts hold commands, options and fixed values; only items, claims and keys are asked of
`pq __complete`, which loads no parser.
"""

from __future__ import annotations

from pq_cli.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Option(Record):
    """One option: its spellings, what it is for, and the kind of its value.

    kind: None is a flag; "any" has a value nobody can guess; else one of KINDS.
    """

    names: tuple[str, ...]
    help: str
    kind: str | None


class Spec(Record):
    """What one command accepts. operand: the kind of its arguments, None when it has none."""

    name: str
    help: str
    options: tuple[Option, ...]
    operand: str | None


FIXED = {
    "states": ("active", "pending", "delayed", "held", "failed", "done"),
    "colors": ("auto", "always", "never"),
    "exists": ("skip", "fail", "replace"),
    "priorities": tuple(str(n) for n in range(1, 11)),
    "shells": ("bash", "zsh", "fish"),
}
"""The kinds whose values are known beforehand."""
ASKED = ("items", "keys")
"""The kinds that `pq __complete` is asked for."""
KINDS = (*FIXED, *ASKED, "files", "dirs", "commands", "run", "any")
"""Every kind of value; "run" is a command line of the system's own."""


def _quoted(text: str) -> str:
    """Return a text in quotes: as fish reads them, and bash and zsh with a dollar in front."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _made_by(shell: str) -> str:
    return f"# Completion of pq for {shell}. Made by `pq completion {shell}`: do not edit."


def _tables(specs: Sequence[Spec]) -> list[str]:
    """Return the functions that bash and zsh share: what is known beforehand, in both tongues.

    A line of `_pq_lines` is a value, a tab, a description.
    """
    commands = [f"        {_line(spec.name, spec.help)}" for spec in specs]
    fixed = [f"    {kind}) _pq_lines=({' '.join(values)}) ;;" for kind, values in FIXED.items()]
    return [
        "_pq_options() {", *_cases(specs, _option_lines), "}", "",
        "_pq_value() {", "    _pq_kind=",
        "    case $2 in -s|--spool) _pq_kind=dirs; return ;; esac",
        *_cases(specs, _value_lines), "}", "",
        "_pq_operand() {", "    _pq_kind=",
        *_cases(specs, lambda spec: [f"_pq_kind={spec.operand}"] if spec.operand else []), "}", "",
        "_pq_fixed() {", "    case $1 in", *fixed,
        "    commands)", "        _pq_lines=(", *commands, "        )", "        ;;",
        "    esac", "}", "",
    ]  # fmt: skip


def _line(value: str, text: str) -> str:
    return f"$'{value}\\t{_quoted(text)[1:-1]}'"


def _cases(specs: Sequence[Spec], lines: Callable[[Spec], list[str]]) -> list[str]:
    out = ["    case $1 in"]
    for spec in specs:
        body = lines(spec)
        if body:
            out += [f"    {spec.name})", *(f"        {text}" for text in body), "        ;;"]
    return [*out, "    esac"]


def _option_lines(spec: Spec) -> list[str]:
    named = [_line(max(option.names, key=len), option.help) for option in spec.options]
    return ["_pq_lines=(", *(f"    {line}" for line in named), ")"]


def _value_lines(spec: Spec) -> list[str]:
    valued = [option for option in spec.options if option.kind is not None]
    cases = [f"{'|'.join(option.names)}) _pq_kind={option.kind} ;;" for option in valued]
    return ["case $2 in", *cases, "esac"] if cases else []


def bash(specs: Sequence[Spec]) -> str:
    """Return the script for bash; it needs nothing but bash 4.4."""
    return "\n".join([_made_by("bash"), "", *_tables(specs), _BASH_REST])


def zsh(specs: Sequence[Spec]) -> str:
    """Return the script for zsh: the file `_pq` of a folder in `fpath`, or for eval."""
    return "\n".join(["#compdef pq", _made_by("zsh"), "", *_tables(specs), _ZSH_REST])


_BASH_REST = r"""_pq() {
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
"""


_ZSH_REST = r"""_pq() {
    local -a _pq_lines
    local _pq_kind= command= spool= pending= word
    integer i
    for ((i = 2; i < CURRENT; i++)); do
        word=$words[i]
        if [[ -n $pending ]]; then
            [[ $pending == (-s|--spool) ]] && spool=$word
            pending=
        elif [[ $word == -- && -n $command ]]; then
            _pq_operand "$command"
            [[ $_pq_kind == run ]] || return 1
            words=("${(@)words[i+1,-1]}")
            ((CURRENT -= i))
            _normal
            return
        elif [[ $word == --spool=* ]]; then
            spool=${word#--spool=}
        elif [[ $word == -* ]]; then
            _pq_value "$command" "$word"
            [[ -n $_pq_kind ]] && pending=$word
        elif [[ -z $command ]]; then
            command=$word
        fi
    done
    _pq_kind=
    if [[ -n $pending ]]; then
        _pq_value "$command" "$pending"
    elif [[ $PREFIX == --*=* ]]; then
        _pq_value "$command" "${PREFIX%%=*}"
        compset -P '*='
    elif [[ $PREFIX == -* ]]; then
        _pq_options "$command"
        [[ -z $command ]] && _pq_lines=($'--help\tlist the commands' $'--version\ttell it')
    elif [[ -z $command ]]; then
        _pq_kind=commands
    else
        _pq_operand "$command"
    fi
    case $_pq_kind in
        files) _files; return ;;
        dirs) _files -/; return ;;
        items|keys)
            spool=${(Q)spool}
            word=$(pq __complete $_pq_kind "$command" "$PREFIX" "$spool" 2>/dev/null)
            _pq_lines=("${(@f)word}")
            ;;
        *) _pq_fixed "$_pq_kind" ;;
    esac
    _pq_lines=("${(@)_pq_lines//:/\\:}")
    _pq_lines=("${(@)_pq_lines/$'\t'/:}")
    _pq_lines=("${(@)_pq_lines:#}")
    (($#_pq_lines)) && _describe -V "${_pq_kind:-option}" _pq_lines
}

if [[ $funcstack[1] == _pq ]]; then  # a file of fpath, at the first Tab
    _pq "$@"
else  # read by eval or source
    if ((!$+functions[compdef])); then
        autoload -Uz compinit
        compinit -i
    fi
    compdef _pq pq
fi
"""


_FISH_VALUES = {
    "files": "-r -F", "dirs": "-x -a '(__fish_complete_directories)'", "any": "-x",
    "items": "-x -a '(__pq_ask items)'", "keys": "-x -a '(__pq_ask keys)'",
    "commands": "-x -a '(__pq_commands)'",
} | {kind: f"-x -a '{' '.join(values)}'" for kind, values in FIXED.items()}  # fmt: skip


def fish(specs: Sequence[Spec]) -> str:
    """Return the script for fish."""
    lines = [_made_by("fish"), "", _FISH_HEAD, "function __pq_commands"]
    lines += [f"    printf '%s\\t%s\\n' {spec.name} {_quoted(spec.help)}" for spec in specs]
    lines += ["end", "", "complete -c pq -f"]
    lines.append("complete -c pq -n '__pq_at \"\"' -a '(__pq_commands)'")
    lines.append("complete -c pq -n '__pq_at \"\"' -l version -d 'tell it'")
    lines.append("complete -c pq -s s -l spool -x -a '(__fish_complete_directories)' -d spool")
    for spec in specs:
        where = f"complete -c pq -n '__pq_at {spec.name}'"
        for option in spec.options:
            if "--spool" in option.names:
                continue
            names = " ".join(
                f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
                for name in option.names
            )
            value = "" if option.kind is None else " " + _FISH_VALUES[option.kind]
            lines.append(f"{where} {names}{value} -d {_quoted(option.help)}")
        if spec.operand == "run":
            lines.append(f"{where} -a '(__fish_complete_subcommand --commandline (__pq_run))'")
        elif spec.operand == "files":
            lines.append(f"{where} -F")
        elif spec.operand is not None and spec.operand != "any":
            action = _FISH_VALUES[spec.operand].replace("-x ", "")
            lines.append(f"{where} {action}")
    return "\n".join([*lines, ""])


_FISH_HEAD = r"""function __pq_words
    # Prints the command, then the spool that -s names.
    set -l words (commandline -opc)[2..-1]
    set -l command ''
    set -l spool ''
    while set -q words[1]
        switch $words[1]
            case -s --spool
                set spool "$words[2]"
                set -e words[1]
            case '--spool=*'
                set spool (string replace -- --spool= '' $words[1])
            case '-*'
            case '*'
                test -z "$command"; and set command $words[1]
        end
        set -e words[1]
    end
    printf '%s\n' "$command" "$spool"
end

function __pq_at
    test (__pq_words)[1] = "$argv[1]"
end

function __pq_ask
    set -l words (__pq_words)
    pq __complete $argv[1] $words[1] (commandline -ct) "$words[2]" 2>/dev/null
end

function __pq_run
    set -l words (commandline -opc) (commandline -ct)
    while set -q words[1]; and test "$words[1]" != --
        set -e words[1]
    end
    set -e words[1]
    string escape -- $words
end
"""
