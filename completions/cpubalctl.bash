# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Completion of cpubalctl for bash. Commands and options come from the tool's own help, groups, workers and plans from
# the daemon, so that nothing here can grow old; without a daemon there are just none.

_cpubalctl_verbs() {
	"${1:-cpubalctl}" --help 2>/dev/null | awk '/^Commands/ { on = 1; next } on && /^[^ ]/ { on = 0 } on && /^  [a-z]/ { print $1 }'
}

_cpubalctl_options() {
	"${1:-cpubalctl}" ${2:+"$2"} --help 2>/dev/null | grep -oE '(^|[ ,])--[a-z][a-z-]*(=|\[=)?' | tr -d ' ,['
}

# The values of a key in a listing.
_cpubalctl_values() {
	"${1:-cpubalctl}" --json "$2" 2>/dev/null | sed -nE "s/^ *\"$3\": *\"?([^\",]*)\"?,?\$/\\1/p" | sort -u
}

_cpubalctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} tool=${COMP_WORDS[0]} verb='' words=0 replies=() i
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		=) i=$((i + 1)) ;; # bash makes it a word of its own; a value follows
		-*) ;;
		*) if [ -z "$verb" ]; then verb=${COMP_WORDS[i]}; else words=$((words + 1)); fi ;;
		esac
	done
	case $cur in
	-*)
		mapfile -t replies < <(_cpubalctl_options "$tool" "$verb")
		;;
	*)
		case $verb:$words in
		:0) mapfile -t replies < <(_cpubalctl_verbs "$tool") ;;
		workers:0 | unregister:0 | release:0 | register:0) mapfile -t replies < <(_cpubalctl_values "$tool" groups Name) ;;
		mode:0)
			mapfile -t replies < <(_cpubalctl_values "$tool" groups Name)
			replies+=(auto advise observe)
			;;
		mode:1) replies=(auto advise observe) ;;
		steer:0) mapfile -t replies < <(_cpubalctl_values "$tool" groups Name) ;;
		steer:1) replies=(none local weighted) ;;
		packets:0) mapfile -t replies < <(_cpubalctl_values "$tool" groups Name) ;;
		packets:1) replies=(none auto rps xps both) ;;
		move:0 | drain:0 | undrain:0) mapfile -t replies < <(_cpubalctl_values "$tool" workers Name) ;;
		move:1 | explain:0) mapfile -t replies < <(_cpubalctl_values "$tool" cpus CPU) ;;
		rollback:0 | veto:0) mapfile -t replies < <(_cpubalctl_values "$tool" history Plan) ;;
		run:* | hold:*) mapfile -t replies < <(compgen -c -- "$cur") ;;
		esac
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "${replies[*]}" -- "$cur")
	# The value follows the '='.
	[[ ${COMPREPLY[0]:-} != *= ]] || compopt -o nospace 2>/dev/null || true
}

complete -F _cpubalctl cpubalctl
