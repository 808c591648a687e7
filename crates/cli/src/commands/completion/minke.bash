# Completes `minke` in bash: asks minke itself.
_minke() {
    local line="${COMP_LINE:0:COMP_POINT}" candidate
    local -a words
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    local current="${words[${#words[@]} - 1]}"
    # bash also splits words at `:` and `=`, and replaces what comes after the last of these alone.
    local typed="${COMP_WORDS[COMP_CWORD]}"
    [[ $typed == [:=] ]] && typed=""
    local kept="${current%"$typed"}"
    COMPREPLY=()
    while IFS= read -r candidate; do
        if [[ $candidate == :files ]]; then
            compopt -o default 2>/dev/null
        else
            candidate="${candidate%%$'\t'*}"
            COMPREPLY+=("${candidate#"$kept"}")
        fi
    done < <(minke __complete "${words[@]}" 2>/dev/null)
}
complete -F _minke minke
