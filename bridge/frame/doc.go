// Package frame is what links between nodes say to each other, in bytes. It has no I/O, no clock and no goroutines.
//
//	Hello, Interest, … ─ Append ─→ bytes of one frame ─ the link's PUBLISH on $link/<kind> ─→ Decode… ─→ Hello, Interest, …
//
// Each kind of frame has a file with its layout, and so has each control record, which travels in DATA frames among
// the messages. What is not known is skipped: kinds of frame, fields of HELLO, kinds of item, types of control record,
// and bytes after the last one that is known. So a later version may add any of these. What it may not change is what
// is here: that is another range of link protocols in CONNECT.
//
// Every count and length has a bound; beyond it decoding fails, and the link that got such a frame closes. A decoded
// frame aliases the bytes it was decoded from.
//
// A new kind is a file with its layout, a constant in frame.go, a row in the table of frame_test.go, and a row in the
// table of bridge/link_receive.go, which says who handles it.
package frame
