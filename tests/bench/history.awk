# SPDX-License-Identifier: LGPL-2.1-or-later
# -v n=N: a history of N plans, one JSON object a line, as long as they come.
BEGIN {
	for (i = 1; i <= n; i++) {
		printf "{\"plan\":%d,\"at\":%d,\"origin\":\"auto\",\"verdict\":\"kept\",\"group\":\"web\",", i, 1700000000000000 + i * 60000000
		printf "\"finding\":\"CPU 3 is 96 %% busy for 41 s; CPU 7 is at 12 %%; its workers wait 212 ms/s\","
		printf "\"sentence\":\"run-queue wait fell by 48 %% (p 0.001)\",\"measure\":\"wait\",\"effect\":0.48,\"p\":0.001,"
		printf "\"steps\":["
		for (k = 0; k < 4; k++)
			printf "%s{\"kind\":\"worker\",\"state\":\"applied\",\"name\":\"web/%d\",\"from\":\"0\",\"to\":\"0-1023\",\"load\":0.5}", k ? "," : "", k
		printf "]}\n"
	}
}
