package topic

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxLevels bounds the depth of a name or filter where the caller gives no other bound.
const MaxLevels = 128

// MaxLength is the most bytes a name or filter may have [MQTT-4.7.3-3] [MQTT311-4.7.3-3].
const MaxLength = 65535

// Error is a name or filter that breaks the standard.
type Error struct {
	Rule   string // the normative statement, as "MQTT-4.7.1-2"; "" for the depth bound, which is ours
	Detail string // what was found and what was expected
}

func (e *Error) Error() string {
	if e.Rule == "" {
		return e.Detail
	}
	return fmt.Sprintf("%s [%s]", e.Detail, e.Rule)
}

// CheckName tells why s is not a valid topic name; nil when it is. maxLevels is the depth bound,
// 0 = MaxLevels. The error is an *Error.
func CheckName(s string, maxLevels int) error {
	if err := checkString(s, "topic name"); err != nil {
		return err
	}
	if i := strings.IndexAny(s, "+#"); i >= 0 {
		// [MQTT-4.7.0-1] [MQTT-3.3.2-2] [MQTT311-4.7.1-1]
		return &Error{"MQTT-4.7.0-1", fmt.Sprintf("topic name has the wildcard %q at byte %d", s[i], i)}
	}
	return checkDepth(s, maxLevels, "topic name")
}

// CheckFilter tells why s is not a valid topic filter, shared subscriptions ("$share/g/f")
// included; nil when it is. maxLevels is the depth bound of the filter without "$share/g/", 0 =
// MaxLevels. The error is an *Error.
func CheckFilter(s string, maxLevels int) error {
	if err := checkString(s, "topic filter"); err != nil {
		return err
	}
	if Shared(s) {
		if err := checkShare(s); err != nil {
			return err
		}
		_, s = Split(s)
	}
	if err := checkWildcards(s); err != nil {
		return err
	}
	return checkDepth(s, maxLevels, "topic filter")
}

// checkString holds what names and filters share. what is the word for errors.
func checkString(s, what string) error {
	switch {
	case s == "":
		return &Error{"MQTT-4.7.3-1", what + " is empty"}
	case len(s) > MaxLength:
		return &Error{"MQTT-4.7.3-3", fmt.Sprintf("%s has %d bytes, at most %d are allowed", what, len(s), MaxLength)}
	case strings.IndexByte(s, 0) >= 0:
		// [MQTT-4.7.3-2] [MQTT-1.5.4-2] [MQTT311-4.7.3-2]
		return &Error{"MQTT-4.7.3-2", what + " has the character U+0000"}
	case !utf8.ValidString(s):
		return &Error{"MQTT-1.5.4-1", what + " is not well-formed UTF-8"}
	}
	return nil
}

// checkWildcards holds the places of "+" and "#" in a filter without "$share". [MQTT311-4.7.1-2] [MQTT311-4.7.1-3]
func checkWildcards(s string) error {
	for i := 0; i < len(s); i++ {
		if s[i] != '+' && s[i] != '#' {
			continue
		}
		starts := i == 0 || s[i-1] == '/'
		last := i == len(s)-1
		if s[i] == '#' && !(starts && last) {
			return &Error{"MQTT-4.7.1-1", fmt.Sprintf("'#' at byte %d is not alone in the last level of the filter", i)}
		}
		if s[i] == '+' && !(starts && (last || s[i+1] == '/')) {
			return &Error{"MQTT-4.7.1-2", fmt.Sprintf("'+' at byte %d does not fill its whole level", i)}
		}
	}
	return nil
}

func checkDepth(s string, maxLevels int, what string) error {
	if maxLevels <= 0 {
		maxLevels = MaxLevels
	}
	if n := strings.Count(s, "/") + 1; n > maxLevels {
		return &Error{"", fmt.Sprintf("%s has %d levels, at most %d are allowed", what, n, maxLevels)}
	}
	return nil
}
