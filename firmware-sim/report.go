package firmwaresim

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Report is what a run proved.
type Report struct {
	Run     string    `json:"run"`
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"` // ramp-up and duration
	Brokers []string  `json:"brokers"`
	Devices int       `json:"devices"`

	Models   []Row `json:"models"`
	Commands Row   `json:"commands"` // verifier → device; the replies are among the models' messages
	Total    Tally `json:"total"`    // models and commands

	CommandsSent     uint64  `json:"commands_sent"`
	CommandsAnswered uint64  `json:"commands_answered"`
	Reconnects       uint64  `json:"reconnects"`    // connections of devices beyond their first
	SessionsLost     uint64  `json:"sessions_lost"` // reconnects where the broker had forgotten the session
	Stray            uint64  `json:"stray"`         // arrivals that nobody published
	Settled          bool    `json:"settled"`       // all was acknowledged and had arrived
	SettleSeconds    float64 `json:"settle_seconds"`
}

// Row is the part of one model.
type Row struct {
	Name string `json:"name"`
	Tally
}

// OK reports whether no acknowledged QoS 1 or 2 message is missing.
func (r *Report) OK() bool { return r.Total.Lost == 0 }

// Verdict is the outcome in one sentence.
func (r *Report) Verdict() string {
	switch t := &r.Total; {
	case t.Lost > 0:
		return fmt.Sprintf("LOST: %s acknowledged messages never arrived", thousands(t.Lost))
	case t.Acknowledged == 0:
		return "nothing was acknowledged, so nothing is proven"
	case t.Unacknowledged+t.Unsent > 0:
		return fmt.Sprintf("no acknowledged message was lost; %s were still waiting for their acknowledgement", thousands(t.Unacknowledged+t.Unsent))
	default:
		return fmt.Sprintf("all %s acknowledged messages arrived", thousands(t.Acknowledged))
	}
}

// WriteText prints the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	r.table(&b)
	b.WriteByte('\n')
	r.notes(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// notes say what has no column, and only what there is to say.
func (r *Report) notes(b *strings.Builder) {
	t := &r.Total
	fmt.Fprintf(b, "%s\n", r.Verdict())
	fmt.Fprintf(b, "commands: %s sent, %s answered; reconnects: %s", thousands(r.CommandsSent), thousands(r.CommandsAnswered), thousands(r.Reconnects))
	if r.SessionsLost > 0 {
		fmt.Fprintf(b, " (%s found their session forgotten)", thousands(r.SessionsLost))
	}
	if r.Settled {
		fmt.Fprintf(b, "; settled in %.1f s\n", r.SettleSeconds)
	} else {
		fmt.Fprintf(b, "; not settled after %.1f s\n", r.SettleSeconds)
	}
	for _, note := range []struct {
		n    uint64
		text string
	}{
		{t.NotPublished, "readings were not published: the device was offline (QoS 0) or its outbox full"},
		{t.Unsent, "messages were still in an outbox at the end"},
		{t.Refused, "messages were refused by the broker with an error code"},
		{t.DuplicatedQoS2, "of the duplicates were QoS 2, which promises exactly once"},
		{r.Stray, "arrivals were of no known message"},
		{t.WrittenOff, "gaps were too many to follow and were written off"},
	} {
		if note.n > 0 {
			fmt.Fprintf(b, "%s %s\n", thousands(note.n), note.text)
		}
	}
}
