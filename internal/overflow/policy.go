package overflow

import (
	"fmt"
	"strings"

	"mangrove/mqtt/topic"
)

// Policy says what happens to a QoS 1 or 2 message for a queue at its bound.
type Policy string

// The policies.
const (
	DropOldest Policy = "drop-oldest" // the oldest messages of that queue give way, counted
	Refuse     Policy = "refuse"      // the publisher is told: reason code 0x97; what a link brings is parked
	DropNew    Policy = "drop-new"    // that queue goes without the message, counted
)

// Default is the policy of a queue for which nothing else is said.
const Default = DropOldest

// Rules are the policies by topic. The first rule whose filter matches counts, else Default. The zero value is invalid
// until Check has set Default.
type Rules struct {
	Default Policy
	Rules   []Rule
}

// Rule is for the topics that match Filter.
type Rule struct {
	Filter string
	Policy Policy
}

// Check fills in the default. The error names the first policy that is none.
func (r *Rules) Check() error {
	if r.Default == "" {
		r.Default = Default
	}
	if err := r.Default.check(); err != nil {
		return err
	}
	for _, rule := range r.Rules {
		if err := rule.Policy.check(); err != nil {
			return fmt.Errorf("%s: %w", rule.Filter, err)
		}
	}
	return nil
}

func (p Policy) check() error {
	switch p {
	case DropOldest, Refuse, DropNew:
		return nil
	}
	return fmt.Errorf("found %q, want %s, %s or %s", p, DropOldest, Refuse, DropNew)
}

// Of is the policy for a topic. Without rules it costs nothing; with rules it is asked for a full queue, and, by Keeps,
// for each message that is queued.
func (r *Rules) Of(topicName string) Policy {
	if len(r.Rules) == 0 {
		return r.Default
	}
	topicName = topic.Counted(topicName)
	for i := range r.Rules {
		if topic.Match(r.Rules[i].Filter, topicName) {
			return r.Rules[i].Policy
		}
	}
	return r.Default
}

// Keeps reports that a message of that topic does not give way to later ones: its publisher chose to be refused rather than
// to have what was acknowledged dropped. Where all topics are refused nothing asks for it.
func (r *Rules) Keeps(topicName string) bool {
	return len(r.Rules) > 0 && r.Of(topicName) == Refuse
}

// ParseRule reads "filter = policy".
func ParseRule(s string) (r Rule, err error) {
	i := strings.LastIndexByte(s, '=')
	if i < 0 {
		return r, fmt.Errorf(`want "FILTER = POLICY", as in "alarm/# = %s"`, Refuse)
	}
	r.Filter = strings.TrimSpace(s[:i])
	if err := topic.CheckFilter(r.Filter, topic.MaxLevels); err != nil {
		return r, err
	}
	if group, _ := topic.Split(r.Filter); group != "" {
		return r, fmt.Errorf("want the filter of topics, without $share/%s/", group)
	}
	r.Policy = Policy(strings.TrimSpace(s[i+1:]))
	return r, r.Policy.check()
}

// What Slack is at the least: what many publishers have on its way to the disk, which cannot give way before it is there.
const (
	SlackMessages = 4096
	SlackBytes    = 4 << 20
)

// Slack is how far a queue may go above a bound while the oldest are being removed: an eighth, and least at the least. Above it
// the newest are dropped.
func Slack[T int | int64](bound, least T) T { return max(bound/8, least) }
