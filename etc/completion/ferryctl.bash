# Completion of ferryctl for bash.  The commands and their options are those that ferryctl itself prints; names of queues and ids
# of tasks come from the database, if it answers.

_ferryctl()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command='' i
	local -a global=()
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-f|--file) global+=(-f "${COMP_WORDS[++i]}") ;;
		-*) ;;
		*) command=${COMP_WORDS[i]}; break ;;
		esac
	done
	if [[ $prev == -f || $prev == --file ]] && [[ -z $command ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
	fi
	if [[ -z $command ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(ferryctl --help 2>/dev/null | sed -n 's/^  \([a-z]*\) .*/\1/p') -f --file --help --version" -- "$cur")
		return
	fi
	local words='' states=''
	case $command in
	cancel) states='queued running' ;;
	retry) states='failed cancelled' ;;
	priority) states=queued ;;
	watch) states='running queued' ;;
	esac
	case $command:$prev in
	ls:-s|ls:--state) words='queued running done failed cancelled' ;;
	ls:-o|ls:--order) words='id size done tries priority finished' ;;
	put:--if-exists) words='overwrite skip fail' ;;
	*:-q|*:--queue) words=$(ferryctl "${global[@]}" status --json 2>/dev/null | sed -n 's/.*"queue": "\([A-Za-z0-9_.-]*\)".*/\1/p') ;;
	*)
		if [[ $cur == -* ]]; then
			words=$(ferryctl "$command" --help 2>/dev/null | grep -oE -- '--[a-z0-9-]+')
		elif [[ $command == pause || $command == resume ]]; then
			words=$(ferryctl "${global[@]}" status --json 2>/dev/null | sed -n 's/.*"queue": "\([A-Za-z0-9_.-]*\)".*/\1/p')
		elif [[ $command == show ]]; then
			words=$(ferryctl "${global[@]}" ls -n 50 --csv 2>/dev/null | sed -n 's/^\([0-9][0-9]*\),.*/\1/p')
		else
			for i in $states; do
				words+=" $(ferryctl "${global[@]}" ls -n 50 -s "$i" --csv 2>/dev/null | sed -n 's/^\([0-9][0-9]*\),.*/\1/p')"
			done
		fi ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _ferryctl ferryctl
