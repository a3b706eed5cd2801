# Completion of pq for fish: all of it is asked of `pq __complete`.
function __pq_complete
    set -l words (commandline -opc)[2..-1]
    set -l current (commandline -ct)
    set -l front (string match -r -- '^--[^=]*=' $current)
    set -l lines (pq __complete $words "$current" 2>/dev/null)
    switch "$lines[1]"
        case files
            set lines (__fish_complete_path (string replace -- "$front" '' "$current"))
        case dirs
            set lines (__fish_complete_directories (string replace -- "$front" '' "$current"))
        case 'command *'
            set -l count (string replace 'command ' '' $lines[1])
            set -l after (math $count + 1)
            set -l rest (string escape -- $words[$after..-1])
            complete -C (string join ' ' -- $rest "$current")
            return
    end
    for line in $lines
        echo "$front$line"
    end
end

complete -c pq -f -k -a '(__pq_complete)'
