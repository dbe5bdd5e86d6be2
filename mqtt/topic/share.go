package topic

import "strings"

// Split takes a valid filter apart: "$share/g/a/#" is group "g", filter "a/#"; other filters have
// group "". A filter that only looks shared ("$share/g", "$share//a") is returned whole.
func Split(filter string) (group, rest string) {
	if group, rest, ok := cutLevel(filter, sharePrefix); ok {
		return group, rest
	}
	return "", filter
}

// Shared reports whether filter asks for a shared subscription; it may be invalid.
func Shared(filter string) bool { return strings.HasPrefix(filter, sharePrefix) }

// checkShare holds the syntax of "$share/ShareName/filter" up to the filter, which must not be empty.
func checkShare(s string) error {
	group, rest, slash := strings.Cut(s[len(sharePrefix):], "/")
	switch {
	case group == "":
		return &Error{"MQTT-4.8.2-1", "the ShareName of the shared subscription is empty"}
	case strings.ContainsAny(group, "+#"):
		return &Error{"MQTT-4.8.2-2", "the ShareName of the shared subscription has a wildcard"}
	case !slash || rest == "":
		return &Error{"MQTT-4.8.2-2", "no topic filter follows the ShareName"}
	}
	return nil
}
