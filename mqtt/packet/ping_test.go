package packet

import "testing"

func pingSamples() (all []sample) {
	for _, v := range versions {
		all = append(all, sample{"PINGREQ", v, frame(0xC0), &Pingreq{}, false}, sample{"PINGRESP", v, frame(0xD0), &Pingresp{}, false})
	}
	return append(all, sample{"unused bits", V31, frame(0xCF), &Pingreq{}, true})
}

func pingRefusals() []refusal {
	return []refusal{
		{"[MQTT-2.1.3-1] [MQTT311-2.2.2-2]", "PINGREQ flags", V311, frame(0xC1), MalformedPacket},
		{"[MQTT-2.1.3-1]", "PINGRESP flags", V5, frame(0xD8), MalformedPacket},
		{"section 3.12", "PINGREQ with a body", V5, frame(0xC0, 0), MalformedPacket},
		{"section 3.13", "PINGRESP with a body", V311, frame(0xD0, 0), MalformedPacket},
	}
}

func TestPing(t *testing.T) {
	checkSamples(t, pingSamples())
	checkRefusals(t, pingRefusals())
}
