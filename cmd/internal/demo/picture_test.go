package demo

import "testing"

func TestPictureShow(t *testing.T) {
	t.Log("\n" + picture([]string{"core-1", "core-2"}, []string{"edge-a", "edge-b", "edge-c"}, []int{50, 50, 50}))
	t.Log("\n" + picture([]string{"core-1"}, []string{"edge-a"}, []int{50}))
	t.Log("\n" + picture([]string{"core-1", "core-2", "core-3"}, []string{"edge-a", "edge-b"}, []int{500, 2}))
}
