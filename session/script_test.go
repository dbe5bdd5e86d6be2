package session

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// TestScripts plays testdata/*.txt. A line at the margin is something that happens; the indented lines under
// it are all that follows from it, in order. # begins a comment. What can happen:
//
//	session in memory | session kept in memory    instead of a durable one; before anything else
//	messages come through a group                 those that follow
//	client connects with window N                 attach and resume
//	client connects with window N, not yet ready  attach; "client is ready" resumes
//	client leaves | node restarts | node dies     dies: while the client is connected
//	message NAME qos N                            "NAME is stored" or "NAME is refused" follows, later
//	messages A B C qos N are stored               together
//	PUBACK N | PUBREC N [0xNN] | PUBCOMP N
//	release of NAME is stored | is refused
//	buffer is full | buffer drains
//	NAME expires | NAME is too large | NAME is lost
//	disk is read                                  answers fetch
//	session ends                                  what becomes of its messages, in order
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d scripts and %v, want some", len(files), err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) { play(t, f) })
	}
}

func play(t *testing.T, file string) {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := newStage(t)
	lines := bufio.NewScanner(f)
	event, at, want := "", 0, []string(nil)
	check := func() {
		if event == "" {
			return
		}
		w.effects = nil
		w.do(event)
		if !slices.Equal(w.effects, want) {
			t.Fatalf("%s:%d: %s\n got %q\nwant %q", file, at, event, w.effects, want)
		}
	}
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		switch text := strings.TrimSpace(line); {
		case text == "":
		case line[0] == ' ' || line[0] == '\t':
			want = append(want, text)
		default:
			check()
			event, at, want = text, n, nil
		}
	}
	check()
}

// stage is the world of one script.
type stage struct {
	t       *testing.T
	out     *outbound
	effects []string
	disk    map[uint64]entry // stable records
	names   map[string]uint64
	flags   map[string]string // message name → "expired", "too large", "lost"
	group   string
	fetches bool
	full    bool
}

func newStage(t *testing.T) *stage {
	return &stage{t: t, out: &outbound{lim: &limits{4, 1 << 20}}, disk: map[uint64]entry{}, names: map[string]uint64{},
		flags: map[string]string{}}
}

func (w *stage) say(format string, args ...any) {
	w.effects = append(w.effects, fmt.Sprintf(format, args...))
}

func (w *stage) name(seq uint64) string {
	for name, s := range w.names {
		if s == seq {
			return name
		}
	}
	return fmt.Sprint("?", seq)
}

func (w *stage) publish(e *entry, id uint16, dup bool) mqtt.SendResult {
	name := w.name(e.seq)
	if string(e.msg.Payload) != name {
		w.t.Fatalf("got payload %q for message %s", e.msg.Payload, name)
	}
	if w.full {
		return mqtt.Full
	}
	if w.flags[name] == "too large" {
		return mqtt.TooLarge
	}
	text := fmt.Sprintf("PUBLISH %s qos %d id %d", name, e.qos, id)
	if dup {
		text += " dup"
	}
	w.say("%s", text)
	return mqtt.Sent
}

func (w *stage) ack(kind packet.Type, id uint16, reason packet.ReasonCode) {
	text := fmt.Sprintf("PUBREL %d", id)
	if kind != packet.PUBREL {
		w.t.Fatalf("got packet type %d, want PUBREL", kind)
	}
	if reason != 0 {
		text += fmt.Sprintf(" 0x%02X", byte(reason))
	}
	w.say("%s", text)
}

func (w *stage) release(e *entry) bool {
	if w.out.memory {
		return true
	}
	w.say("keep release of %s", w.name(e.seq))
	return false
}

func (w *stage) done(e *entry, how outcome) {
	delete(w.disk, e.seq)
	if how == delivered {
		w.say("done %s", w.name(e.seq))
	} else {
		w.say("drop %s: %s", w.name(e.seq), dropNames[how])
	}
}

func (w *stage) expired(m *mqtt.Message) bool { return w.flags[string(m.Payload)] == "expired" }

func (w *stage) fetch() {
	if !w.fetches {
		w.say("fetch")
	}
	w.fetches = true
}

func (w *stage) do(event string) {
	f := strings.Fields(strings.ReplaceAll(event, ",", ""))
	has := func(s string) bool { return strings.Contains(event, s) }
	num := func(i int) int {
		n, err := strconv.ParseUint(f[i], 0, 32)
		if err != nil {
			w.t.Fatalf("%s: %v", event, err)
		}
		return int(n)
	}
	switch {
	case event == "session in memory":
		w.out.memory = true
	case event == "session kept in memory":
		w.out.memory, w.out.keep = true, true
	case event == "messages come through a group":
		w.group = "$share/g/t"
	case event == "session ends":
		w.end()
	case has("client connects"):
		w.fetches = false
		w.out.attach(num(4))
		if !has("not yet ready") {
			w.out.resume(w)
		}
	case event == "client is ready", event == "buffer drains":
		w.full = false
		w.out.resume(w)
	case event == "client leaves":
		w.out.detach()
	case event == "node restarts", event == "node dies":
		w.restart(event == "node dies")
	case event == "buffer is full":
		w.full = true
	case event == "disk is read":
		w.read()
	case has("release of"):
		w.released(w.names[f[2]], has("is stored"))
	case f[0] == "PUBACK", f[0] == "PUBREC", f[0] == "PUBCOMP":
		w.acked(f)
	case f[0] == "message":
		w.message(f[1], byte(num(3)))
	case f[0] == "messages":
		qos := slices.Index(f, "qos")
		for _, name := range f[1:qos] {
			w.message(name, byte(num(qos+1)))
		}
		for _, name := range f[1:qos] {
			w.stored(name, true)
		}
	case has("is stored"), has("is refused"):
		w.stored(f[0], has("is stored"))
	case has("expires"):
		w.flags[f[0]] = "expired"
	case has("is too large"):
		w.flags[f[0]] = "too large"
	case has("is lost"):
		w.flags[f[0]] = "lost"
	default:
		w.t.Fatalf("script: nothing like %q can happen", event)
	}
}

func (w *stage) message(name string, qos byte) {
	e := entry{seq: w.out.nextSeq(), body: 1, msg: &mqtt.Message{Payload: []byte(name)}, group: w.group, size: 10, qos: qos,
		state: writing}
	if w.out.memory {
		e.state = ready
	}
	w.names[name] = e.seq
	w.out.add(e)
	if w.out.memory {
		w.out.pump(w)
	}
	w.disk[e.seq] = e
}

// stored: the disk has held the entry since message; it counts only from now on, as pending tells.
func (w *stage) stored(name string, ok bool) {
	seq := w.names[name]
	if !ok {
		delete(w.disk, seq)
	}
	w.out.stored(seq, ok, w)
}

func (w *stage) acked(f []string) {
	kind := map[string]packet.Type{"PUBACK": packet.PUBACK, "PUBREC": packet.PUBREC, "PUBCOMP": packet.PUBCOMP}[f[0]]
	id, err := strconv.Atoi(f[1])
	if err != nil {
		w.t.Fatal(err)
	}
	var reason uint64
	if len(f) > 2 {
		if reason, err = strconv.ParseUint(f[2], 0, 8); err != nil {
			w.t.Fatal(err)
		}
	}
	known, err := w.out.acked(kind, uint16(id), packet.ReasonCode(reason), w)
	if !known {
		w.say("unknown id")
	}
	if err != nil {
		w.say("protocol error")
	}
}

func (w *stage) released(seq uint64, ok bool) {
	if e, there := w.disk[seq]; there && ok {
		e.body, e.state = 0, released
		w.disk[seq] = e
	}
	w.out.released(seq, ok, w)
}

// restart brings back what the disk has.
func (w *stage) restart(dies bool) {
	old := w.out
	w.out = &outbound{lim: old.lim, sent: old.sent, maybeSent: old.maybeSent}
	w.fetches = false
	for _, seq := range w.onDisk() {
		w.out.found(seq, w.disk[seq].size)
	}
	w.out.restart(dies)
}

// end tells what is for others: of memory, or of the disk, where what was done is gone.
func (w *stage) end() {
	heirs := map[uint64]bool{}
	for _, e := range w.out.inheritance() {
		if w.out.memory && e.msg == nil {
			w.t.Fatalf("message %s is for others, but it was forgotten", w.name(e.seq))
		}
		heirs[e.seq] = true
	}
	for _, seq := range w.onDisk() {
		if e := w.disk[seq]; !w.out.memory {
			heirs[seq] = e.inherited(w.out.sent)
		}
		if heirs[seq] {
			w.say("hand over %s", w.name(seq))
		} else {
			w.say("end %s", w.name(seq))
		}
	}
	w.out.clear()
}

func (w *stage) onDisk() (list []uint64) {
	for seq := range w.disk {
		list = append(list, seq)
	}
	slices.Sort(list)
	return list
}

// read answers fetch as a worker does.
func (w *stage) read() {
	if !w.fetches {
		w.t.Fatal("script: the disk is read, but nobody asked")
	}
	for _, e := range w.out.bodiless(100) {
		m := &mqtt.Message{Payload: []byte(w.name(e.seq))}
		if w.flags[w.name(e.seq)] == "lost" {
			m = nil
		}
		w.out.fetched(e.seq, m, w)
	}
	w.out.pump(w)
	if w.out.wants() {
		w.fill()
	}
	w.fetches = false
	w.out.pump(w)
}

func (w *stage) fill() {
	gap := w.out.gap()
	to, entries := gap.to, []entry(nil)
	for _, seq := range w.onDisk() {
		if seq < gap.from || seq >= gap.to {
			continue
		}
		if len(entries) == gap.messages {
			to = seq
			break
		}
		e := w.disk[seq]
		if e.state != released {
			e.state = ready
			e.msg = &mqtt.Message{Payload: []byte(w.name(seq))}
		}
		entries = append(entries, e)
	}
	if n := w.out.loaded(gap.from, to, entries); n > 0 {
		w.say("missing %d", n)
	}
}
