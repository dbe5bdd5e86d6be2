package mqtt

import (
	"errors"
	"testing"

	"mangrove/internal/batch"
)

// outcome counts the calls of done.
type outcome struct {
	calls int
	err   error
}

func (o *outcome) done(err error) { o.calls++; o.err = err }

func TestReceiptWithoutTakersIsDoneAtClose(t *testing.T) {
	var o outcome
	r := NewReceipt(new(batch.Batch), o.done)
	if o.calls != 0 {
		t.Fatalf("got done before Close")
	}
	r.Close()
	if o.calls != 1 || o.err != nil {
		t.Errorf("got %d calls, error %v; want 1, nil", o.calls, o.err)
	}
}

func TestReceiptWaitsForTheBatchAndEveryHold(t *testing.T) {
	var o outcome
	r := NewReceipt(new(batch.Batch), o.done)
	r.Batch()
	r.Batch() // a second taker in the same batch is told once
	r.Hold()
	r.Close()
	r.Release(nil)
	if o.calls != 0 {
		t.Fatalf("got done before the batch was stable")
	}
	r.Committed(0, nil)
	if o.calls != 1 || o.err != nil {
		t.Errorf("got %d calls, error %v; want 1, nil", o.calls, o.err)
	}
}

func TestReceiptReportsTheFirstError(t *testing.T) {
	full, broken := errors.New("full"), errors.New("broken")
	var o outcome
	r := NewReceipt(new(batch.Batch), o.done)
	r.Batch()
	r.Refuse(full)
	r.Close()
	r.Committed(0, broken)
	if o.calls != 1 || o.err != full {
		t.Errorf("got %d calls, error %v; want 1, %v", o.calls, o.err, full)
	}
}

func TestReceiptKnowsTheLeastSlackOfWhatWasWritten(t *testing.T) {
	r := NewReceipt(new(batch.Batch), nil)
	if r.Slack() != batch.Unsynced {
		t.Errorf("got %d, want no need to sync", r.Slack())
	}
	r.SetSlack(5)
	r.Batch()
	r.SetSlack(7) // the next publish of a receipt that is shared
	r.Batch()
	r.SetSlack(batch.Synced) // and one that nobody writes for
	if r.Slack() != 5 {
		t.Errorf("got %d, want 5", r.Slack())
	}
}

func TestReceiptMayWait(t *testing.T) {
	r := NewReceipt(new(batch.Batch), nil)
	if r.MayWait() {
		t.Error("a message that nobody would publish again may wait, as a will")
	}
	r.PublisherRepeats()
	if !r.MayWait() {
		t.Error("a message that its publisher repeats may not wait")
	}
	r.SetSlack(5)
	if r.MayWait() {
		t.Error("a message that need not be synced may wait")
	}
	r.SetSlack(batch.Synced)
	if r.Batch(); r.MayWait() {
		t.Error("a message that somebody has written may wait")
	}
}

func TestReceiptCountsTakers(t *testing.T) {
	r := NewReceipt(new(batch.Batch), nil)
	r.Count()
	r.Count()
	r.Close()
	if got := r.Taken(); got != 2 {
		t.Errorf("got %d takers, want 2", got)
	}
}
