package weights

import (
	"encoding/binary"
	"math"
)

func f32(out []float32, raw []byte) []float32 {
	return append(out, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
}

func f16(out []float32, raw []byte) []float32 {
	return append(out, half(binary.LittleEndian.Uint16(raw)))
}

func bf16(out []float32, raw []byte) []float32 {
	return append(out, math.Float32frombits(uint32(binary.LittleEndian.Uint16(raw))<<16))
}

// half converts an IEEE 754 half-precision number.
func half(h uint16) float32 {
	sign, exponent, fraction := uint32(h>>15)<<31, uint32(h>>10)&31, uint32(h)&1023
	switch exponent {
	case 0:
		v := float32(fraction) / (1 << 24)
		return math.Float32frombits(math.Float32bits(v) | sign)
	case 31:
		return math.Float32frombits(sign | 0x7f800000 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
}
