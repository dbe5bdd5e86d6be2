package topic

import "strings"

// Match reports whether filter (without $share) matches name. Both must be valid. It does not
// allocate.
func Match(filter, name string) bool {
	if Special(name) && filter != "" && (filter[0] == '#' || filter[0] == '+') {
		return false // [MQTT-4.7.2-1] [MQTT311-4.7.2-1]
	}
	return levelsMatch(filter, name)
}

// levelsMatch is Match for what begins at any level.
func levelsMatch(filter, name string) bool {
	for {
		level, filterRest, filterMore := strings.Cut(filter, "/")
		if level == "#" {
			return true
		}
		nameLevel, nameRest, nameMore := strings.Cut(name, "/")
		if level != "+" && level != nameLevel {
			return false
		}
		if !nameMore {
			// "sport/#" also matches "sport": '#' stands for the parent and any number of children.
			return !filterMore || filterRest == "#"
		}
		if !filterMore {
			return false
		}
		filter, name = filterRest, nameRest
	}
}
