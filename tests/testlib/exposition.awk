# SPDX-License-Identifier: LGPL-2.1-or-later
#
# awk -v openmetrics=0|1 -f exposition.awk - says each thing that is wrong with a text of metrics, the Prometheus format
# 0.0.4 or OpenMetrics 1.0.0, more strictly than either asks: every family has its HELP and TYPE before its samples and
# is in one piece, no series is there twice, labels are escaped right and not there twice, values are numbers.

function wrong(what) { printf "line %d: %s: %s\n", NR, what, $0; bad = 1 }
function valid_name(name) { return name ~ /^[a-zA-Z_][a-zA-Z0-9_]*$/ }

# The family of a sample.
function family_of(name) {
	if (openmetrics && type[substr(name, 1, length(name) - 6)] == "counter" && name ~ /_total$/)
		return substr(name, 1, length(name) - 6)
	return name
}

function meta(kind, name) {
	if (!valid_name(name))
		wrong("no name of a metric")
	if ((kind, name) in described)
		wrong("a second " kind)
	described[kind, name] = 1
	if (name != current) {
		if (name in closed)
			wrong("the family is in several pieces")
		if (current != "")
			closed[current] = 1
		current = name
		sampled = 0
	}
	if (sampled)
		wrong(kind " after samples")
}

# Reads {name="value",...} from the front of rest; leaves what follows in rest.
function read_labels(   name, value, c, n, seen) {
	delete seen
	rest = substr(rest, 2)
	while (substr(rest, 1, 1) != "}") {
		if (!match(rest, /^[a-zA-Z_][a-zA-Z0-9_]*="/)) { wrong("a label is wanted"); return 0 }
		name = substr(rest, 1, RLENGTH - 2)
		rest = substr(rest, RLENGTH + 1)
		if (name in seen)
			wrong("label " name " twice")
		if (name ~ /^__/)
			wrong("label " name " is reserved")
		seen[name] = 1
		for (;;) {
			c = substr(rest, 1, 1)
			rest = substr(rest, 2)
			if (c == "") { wrong("a value of a label does not end"); return 0 }
			if (c == "\"") break
			if (c == "\\") {
				if (substr(rest, 1, 1) !~ /[\\"n]/) wrong("no escape")
				rest = substr(rest, 2)
			}
		}
		c = substr(rest, 1, 1)
		if (c == ",") { rest = substr(rest, 2); if (substr(rest, 1, 1) == "}") wrong("a comma too many") }
		else if (c != "}") { wrong("a comma is wanted"); return 0 }
	}
	rest = substr(rest, 2)
	return 1
}

ended { wrong("after the end") }
/^# EOF$/ && openmetrics { ended = 1; next }
/^# HELP [^ ]+ ./ {
	meta("HELP", $3)
	help = $0
	sub(/^# HELP [^ ]+ /, "", help)
	gsub(/\\\\/, "", help)
	gsub(openmetrics ? /\\["n]/ : /\\n/, "", help)
	if (help ~ /\\/ || (openmetrics && help ~ /"/)) wrong("no escape")
	next
}
/^# TYPE [^ ]+ (counter|gauge)$/ {
	meta("TYPE", $3)
	type[$3] = $4
	if (!openmetrics && $4 == "counter" && $3 !~ /_total$/) wrong("a counter that does not end in _total")
	if ($4 == "gauge" && $3 ~ /_total$/) wrong("a gauge that ends in _total")
	if (openmetrics && $3 ~ /_total$/) wrong("a family that ends in _total")
	next
}
/^# UNIT [^ ]+ [a-z]+$/ && openmetrics {
	meta("UNIT", $3)
	if ($3 !~ ("_" $4 "$")) wrong("the name does not end in its unit")
	next
}
{
	if (!match($0, /^[a-zA-Z_][a-zA-Z0-9_]*/)) { wrong("neither a sample nor a word about one"); next }
	name = substr($0, 1, RLENGTH)
	rest = substr($0, RLENGTH + 1)
	if (substr(rest, 1, 1) == "{" && !read_labels()) next
	series = substr($0, 1, length($0) - length(rest))
	if (rest !~ /^ (-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?|NaN|[-+]Inf)$/) wrong("no number")
	family = family_of(name)
	if (family != current) wrong("not of the family before it")
	else sampled = 1
	if (openmetrics && type[family] == "counter" && name == family) wrong("a counter without _total")
	if (!(("HELP", family) in described) || !(("TYPE", family) in described)) wrong("no HELP and TYPE before it")
	if (type[family] == "counter" && rest ~ /^ -/) wrong("a counter below 0")
	if (series in there) wrong("the series is there twice")
	there[series] = 1
	n++
}
END {
	if (openmetrics && !ended) { print "the text does not end with # EOF"; bad = 1 }
	if (n == 0) { print "no sample"; bad = 1 }
	exit bad
}
