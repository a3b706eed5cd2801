# Completion of pq for fish. Made by `pq completion fish`: do not edit.

function __pq_words
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

function __pq_commands
    printf '%s\t%s\n' enqueue 'add stdin or files to the queue; print their ids'
    printf '%s\t%s\n' next 'claim the next item: print it, or run a command'
    printf '%s\t%s\n' run 'run a command on every item, several at once'
    printf '%s\t%s\n' submit 'run a command on stdin now; queue it if that fails'
    printf '%s\t%s\n' done 'finish claimed items'
    printf '%s\t%s\n' fail 'a claimed item failed: retry later, or dead letter'
    printf '%s\t%s\n' release 'give claimed items back, uncounted'
    printf '%s\t%s\n' renew 'prolong the lease of claimed items'
    printf '%s\t%s\n' ls 'list the items in the order they would be served'
    printf '%s\t%s\n' show 'show all about an item'
    printf '%s\t%s\n' cat 'print an item\'s payload, without claiming it'
    printf '%s\t%s\n' retry 'send failed, held or delayed items back to pending'
    printf '%s\t%s\n' age 'report what has aged; move the manual aging clock'
    printf '%s\t%s\n' set 'change an item\'s priority or delay'
    printf '%s\t%s\n' hold 'suspend items until they are retried'
    printf '%s\t%s\n' rm 'remove items'
    printf '%s\t%s\n' purge 'sweep old items by state and age'
    printf '%s\t%s\n' undo 'bring back what rm or purge removed'
    printf '%s\t%s\n' pause 'let nothing be claimed until `pq resume`'
    printf '%s\t%s\n' resume 'let items be claimed again'
    printf '%s\t%s\n' stats 'the shape of the queue: lanes by age, waiting times'
    printf '%s\t%s\n' explain 'why an item stands where it stands'
    printf '%s\t%s\n' log 'what happened lately'
    printf '%s\t%s\n' check 'look for damage in the spool, and mend it'
    printf '%s\t%s\n' selftest 'try pq\'s promises on a file system of yours'
    printf '%s\t%s\n' migrate 'import an older or foreign queue'
    printf '%s\t%s\n' doctor 'versions, spool, permissions: for a bug report'
    printf '%s\t%s\n' completion 'print the completion script of a shell'
    printf '%s\t%s\n' export 'write items as a stream, for a backup or another spool'
    printf '%s\t%s\n' import 'let the items of such a stream enter'
    printf '%s\t%s\n' init 'make a spool with a commented queue.toml'
end

complete -c pq -f
complete -c pq -n '__pq_at ""' -a '(__pq_commands)'
complete -c pq -n '__pq_at ""' -l version -d 'tell it'
complete -c pq -s s -l spool -x -a '(__fish_complete_directories)' -d spool
complete -c pq -n '__pq_at enqueue' -l priority -s p -x -a '1 2 3 4 5 6 7 8 9 10' -d '1 (most urgent) to 10'
complete -c pq -n '__pq_at enqueue' -l key -x -a '(__pq_ask keys)' -d 'Unique among live items'
complete -c pq -n '__pq_at enqueue' -l if-exists -x -a 'skip fail replace' -d 'If the key is taken: skip, fail or replace'
complete -c pq -n '__pq_at enqueue' -l delay -x -d 'Not before D from now'
complete -c pq -n '__pq_at enqueue' -l at -x -d 'Not before this time'
complete -c pq -n '__pq_at enqueue' -l max-attempts -x -d 'Attempts before it counts as failed'
complete -c pq -n '__pq_at enqueue' -l name -x -d 'A name to show; default: FILE\'s'
complete -c pq -n '__pq_at enqueue' -s m -l metadata -x -d 'May be repeated'
complete -c pq -n '__pq_at enqueue' -l lines -d 'One item a line'
complete -c pq -n '__pq_at enqueue' -s 0 -l null -d 'One item a NUL record'
complete -c pq -n '__pq_at enqueue' -l jsonl -d 'One item a JSON record'
complete -c pq -n '__pq_at enqueue' -l move -d 'Remove each FILE once queued'
complete -c pq -n '__pq_at enqueue' -l lock-timeout -x -d 'Give up (exit 75) if the lock takes longer'
complete -c pq -n '__pq_at enqueue' -F
complete -c pq -n '__pq_at next' -l claim -d 'Print the claim, ID.N'
complete -c pq -n '__pq_at next' -l path -d 'Print the payload\'s path'
complete -c pq -n '__pq_at next' -l json -d 'Print the item as JSON'
complete -c pq -n '__pq_at next' -l ack -d 'Print the payload; done once it was written'
complete -c pq -n '__pq_at next' -l wait -d 'Wait for work, at most D'
complete -c pq -n '__pq_at next' -l lease -x -d 'How long the claim holds'
complete -c pq -n '__pq_at next' -l lock-timeout -x -d 'Give up (exit 75) if the lock takes longer'
complete -c pq -n '__pq_at next' -a '(__fish_complete_subcommand --commandline (__pq_run))'
complete -c pq -n '__pq_at run' -s j -l jobs -x -d 'At most N at once'
complete -c pq -n '__pq_at run' -l follow -d 'Wait for more, for ever'
complete -c pq -n '__pq_at run' -l max -x -d 'Claim at most N items'
complete -c pq -n '__pq_at run' -l max-time -x -d 'Claim nothing after D'
complete -c pq -n '__pq_at run' -l timeout -x -d 'Stop CMD after D (exit 124)'
complete -c pq -n '__pq_at run' -l kill-after -x -d 'From TERM to KILL'
complete -c pq -n '__pq_at run' -l halt-after -x -d 'Stop after N failures in a row'
complete -c pq -n '__pq_at run' -l rate -x -d 'Start at most N a second (m, h, d)'
complete -c pq -n '__pq_at run' -l nice -x -d 'Run at this niceness, 0 to 19'
complete -c pq -n '__pq_at run' -l when -x -d 'Claim only while CMD exits 0'
complete -c pq -n '__pq_at run' -l log -d 'Keep CMD\'s output beside the item'
complete -c pq -n '__pq_at run' -l tag -d 'Put the id before each line'
complete -c pq -n '__pq_at run' -l progress -d 'Show how far it has come'
complete -c pq -n '__pq_at run' -l no-progress -d 'Show how far it has come'
complete -c pq -n '__pq_at run' -l json -d 'Print events as JSON Lines'
complete -c pq -n '__pq_at run' -l dry-run -d 'Print what would run'
complete -c pq -n '__pq_at run' -l lease -x -d 'Renewed while CMD runs'
complete -c pq -n '__pq_at run' -l lock-timeout -x -d 'Give up (exit 75) if the lock takes longer'
complete -c pq -n '__pq_at run' -a '(__fish_complete_subcommand --commandline (__pq_run))'
complete -c pq -n '__pq_at submit' -l priority -s p -x -a '1 2 3 4 5 6 7 8 9 10' -d '1 (most urgent) to 10'
complete -c pq -n '__pq_at submit' -l key -x -a '(__pq_ask keys)' -d 'Unique among live items'
complete -c pq -n '__pq_at submit' -l if-exists -x -a 'skip fail replace' -d 'If the key is taken: skip, fail or replace'
complete -c pq -n '__pq_at submit' -l max-attempts -x -d 'Attempts before it counts as failed'
complete -c pq -n '__pq_at submit' -l name -x -d 'A name to show'
complete -c pq -n '__pq_at submit' -s m -l metadata -x -d 'May be repeated'
complete -c pq -n '__pq_at submit' -l lease -x -d 'Renewed while CMD runs'
complete -c pq -n '__pq_at submit' -l lock-timeout -x -d 'Give up (exit 75) if the lock takes longer'
complete -c pq -n '__pq_at submit' -a '(__fish_complete_subcommand --commandline (__pq_run))'
complete -c pq -n '__pq_at done' -l lock-timeout -x -d 'Give up (exit 75) if the lock takes longer'
complete -c pq -n '__pq_at done' -a '(__pq_ask items)'
complete -c pq -n '__pq_at fail' -l error -x -d 'What failed'
complete -c pq -n '__pq_at fail' -l dead -d 'Do not retry'
complete -c pq -n '__pq_at fail' -l lock-timeout -x -d 'Give up (exit 75) if the lock takes longer'
complete -c pq -n '__pq_at fail' -a '(__pq_ask items)'
complete -c pq -n '__pq_at release' -l lock-timeout -x -d 'Give up (exit 75) if the lock takes longer'
complete -c pq -n '__pq_at release' -a '(__pq_ask items)'
complete -c pq -n '__pq_at renew' -l lease -x -d 'How long from now'
complete -c pq -n '__pq_at renew' -l lock-timeout -x -d 'Give up (exit 75) if the lock takes longer'
complete -c pq -n '__pq_at renew' -a '(__pq_ask items)'
complete -c pq -n '__pq_at ls' -l state -x -a 'active pending delayed held failed done' -d 'Of active, pending, delayed, held, failed, done; may be repeated'
complete -c pq -n '__pq_at ls' -l priority -s p -x -a '1 2 3 4 5 6 7 8 9 10' -d 'Only this base priority'
complete -c pq -n '__pq_at ls' -l older-than -x -d 'Created more than D ago'
complete -c pq -n '__pq_at ls' -l key -x -a '(__pq_ask keys)' -d 'Key matches'
complete -c pq -n '__pq_at ls' -s n -x -d 'The first N only'
complete -c pq -n '__pq_at ls' -l watch -d 'Show it anew every D (2s); q quits'
complete -c pq -n '__pq_at ls' -l json -d 'Print JSON Lines'
complete -c pq -n '__pq_at ls' -l color -x -a 'auto always never' -d 'auto, always or never'
complete -c pq -n '__pq_at show' -l json -d 'Print JSON Lines'
complete -c pq -n '__pq_at show' -l log -d 'Show what `pq run --log` kept'
complete -c pq -n '__pq_at show' -a '(__pq_ask items)'
complete -c pq -n '__pq_at cat' -a '(__pq_ask items)'
complete -c pq -n '__pq_at retry' -l all -d 'All failed, held and delayed items'
complete -c pq -n '__pq_at retry' -l priority -s p -x -a '1 2 3 4 5 6 7 8 9 10' -d '1 (most urgent) to 10'
complete -c pq -n '__pq_at retry' -l lock-timeout -x -d 'Give up (exit 75) if the lock takes longer'
complete -c pq -n '__pq_at retry' -a '(__pq_ask items)'
complete -c pq -n '__pq_at age' -l dry-run -d 'Report; move nothing'
complete -c pq -n '__pq_at age' -l at -x -d 'As of this time'
complete -c pq -n '__pq_at age' -l json -d 'Print JSON Lines'
complete -c pq -n '__pq_at age' -l lock-timeout -x -d 'Give up (exit 75) if the lock takes longer'
complete -c pq -n '__pq_at set' -l priority -s p -x -a '1 2 3 4 5 6 7 8 9 10' -d '1 (most urgent) to 10'
complete -c pq -n '__pq_at set' -l delay -x -d 'Not before D from now'
complete -c pq -n '__pq_at set' -l lock-timeout -x -d 'Give up (exit 75) if the lock takes longer'
complete -c pq -n '__pq_at set' -a '(__pq_ask items)'
complete -c pq -n '__pq_at hold' -l lock-timeout -x -d 'Give up (exit 75) if the lock takes longer'
complete -c pq -n '__pq_at hold' -a '(__pq_ask items)'
complete -c pq -n '__pq_at rm' -l lock-timeout -x -d 'Give up (exit 75) if the lock takes longer'
complete -c pq -n '__pq_at rm' -a '(__pq_ask items)'
complete -c pq -n '__pq_at purge' -l state -x -a 'active pending delayed held failed done' -d 'Of active, pending, delayed, held, failed, done; may be repeated'
complete -c pq -n '__pq_at purge' -l older-than -x -d 'Not changed since D'
complete -c pq -n '__pq_at purge' -l dry-run -d 'Only say what would go'
complete -c pq -n '__pq_at purge' -l trash -d 'Delete for good what was removed before'
complete -c pq -n '__pq_at purge' -l lock-timeout -x -d 'Give up (exit 75) if the lock takes longer'
complete -c pq -n '__pq_at undo' -l list -d 'Only say what could be brought back'
complete -c pq -n '__pq_at undo' -l lock-timeout -x -d 'Give up (exit 75) if the lock takes longer'
complete -c pq -n '__pq_at undo' -a '(__pq_ask items)'
complete -c pq -n '__pq_at pause' -l lock-timeout -x -d 'Give up (exit 75) if the lock takes longer'
complete -c pq -n '__pq_at resume' -l lock-timeout -x -d 'Give up (exit 75) if the lock takes longer'
complete -c pq -n '__pq_at stats' -l json -d 'Print JSON Lines'
complete -c pq -n '__pq_at stats' -l prometheus -d 'Print metrics for a textfile collector'
complete -c pq -n '__pq_at stats' -l color -x -a 'auto always never' -d 'auto, always or never'
complete -c pq -n '__pq_at explain' -l json -d 'Print JSON Lines'
complete -c pq -n '__pq_at explain' -a '(__pq_ask items)'
complete -c pq -n '__pq_at log' -s n -x -d 'The last N only'
complete -c pq -n '__pq_at log' -l json -d 'Print JSON Lines'
complete -c pq -n '__pq_at log' -a '(__pq_ask items)'
complete -c pq -n '__pq_at check' -l repair -d 'Mend what can be mended; delete no payload'
complete -c pq -n '__pq_at check' -l json -d 'Print JSON Lines'
complete -c pq -n '__pq_at check' -l lock-timeout -x -d 'Give up (exit 75) if the lock takes longer'
complete -c pq -n '__pq_at selftest' -l json -d 'Print JSON Lines'
complete -c pq -n '__pq_at selftest' -a '(__fish_complete_directories)'
complete -c pq -n '__pq_at migrate' -l from -x -d 'What it is, if looking fails'
complete -c pq -n '__pq_at migrate' -l tz -x -d 'Of times recorded without a zone'
complete -c pq -n '__pq_at migrate' -l dry-run -d 'Show the plan; do nothing'
complete -c pq -n '__pq_at migrate' -l move -d 'Remove the files of each item that is in'
complete -c pq -n '__pq_at migrate' -l include-done -d 'Import done items too'
complete -c pq -n '__pq_at migrate' -l force -d 'Although something still works in SRC'
complete -c pq -n '__pq_at migrate' -l json -d 'Print JSON Lines'
complete -c pq -n '__pq_at migrate' -l lock-timeout -x -d 'Give up (exit 75) if the lock takes longer'
complete -c pq -n '__pq_at migrate' -a '(__fish_complete_directories)'
complete -c pq -n '__pq_at doctor' -l json -d 'Print JSON Lines'
complete -c pq -n '__pq_at completion' -a 'bash zsh fish'
complete -c pq -n '__pq_at export' -l state -x -a 'active pending delayed held failed done' -d 'Of active, pending, delayed, held, failed, done; may be repeated'
complete -c pq -n '__pq_at export' -l tar -d 'A tar stream, for big payloads'
complete -c pq -n '__pq_at export' -l move -d 'Each leaves once the other side has it'
complete -c pq -n '__pq_at export' -l confirm -d 'Read receipts; let go what they name'
complete -c pq -n '__pq_at export' -l lock-timeout -x -d 'Give up (exit 75) if the lock takes longer'
complete -c pq -n '__pq_at export' -a '(__fish_complete_subcommand --commandline (__pq_run))'
complete -c pq -n '__pq_at import' -l receipt -d 'Print receipts for the sender, not ids'
complete -c pq -n '__pq_at import' -l lock-timeout -x -d 'Give up (exit 75) if the lock takes longer'
complete -c pq -n '__pq_at init' -l drop-mode -x -d 'Let others drop files into new/: 1730'
complete -c pq -n '__pq_at init' -l lock-timeout -x -d 'Give up (exit 75) if the lock takes longer'
