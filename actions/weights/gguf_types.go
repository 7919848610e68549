package weights

import (
	"encoding/binary"
	"fmt"
)

// Type is the storage type of a tensor's weights.
type Type uint32

// The types whose rows can be read.
const (
	F32  Type = 0
	F16  Type = 1
	Q4_0 Type = 2
	Q8_0 Type = 8
	BF16 Type = 30
)

// block describes the unit in which a type stores weights.
type block struct {
	name           string
	numbers, bytes uint64
	numbersOf      func(out []float32, raw []byte) []float32 // appends the numbers of one block; nil: not supported
}

var blocks = map[Type]block{
	F32:  {"F32", 1, 4, f32},
	F16:  {"F16", 1, 2, f16},
	Q4_0: {"Q4_0", 32, 18, q4},
	3:    {"Q4_1", 32, 20, nil},
	6:    {"Q5_0", 32, 22, nil},
	7:    {"Q5_1", 32, 24, nil},
	Q8_0: {"Q8_0", 32, 34, q8},
	10:   {"Q2_K", 256, 84, nil},
	11:   {"Q3_K", 256, 110, nil},
	12:   {"Q4_K", 256, 144, nil},
	13:   {"Q5_K", 256, 176, nil},
	14:   {"Q6_K", 256, 210, nil},
	9:    {"Q8_1", 32, 40, nil},
	15:   {"Q8_K", 256, 292, nil},
	16:   {"IQ2_XXS", 256, 66, nil},
	17:   {"IQ2_XS", 256, 74, nil},
	18:   {"IQ3_XXS", 256, 98, nil},
	19:   {"IQ1_S", 256, 50, nil},
	20:   {"IQ4_NL", 32, 18, nil},
	21:   {"IQ3_S", 256, 110, nil},
	22:   {"IQ2_S", 256, 82, nil},
	23:   {"IQ4_XS", 256, 136, nil},
	24:   {"I8", 1, 1, nil},
	25:   {"I16", 1, 2, nil},
	26:   {"I32", 1, 4, nil},
	27:   {"I64", 1, 8, nil},
	28:   {"F64", 1, 8, nil},
	29:   {"IQ1_M", 256, 56, nil},
	BF16: {"BF16", 1, 2, bf16},
	34:   {"TQ1_0", 256, 54, nil},
	35:   {"TQ2_0", 256, 66, nil},
	39:   {"MXFP4", 32, 17, nil},
	40:   {"NVFP4", 64, 36, nil},
	41:   {"Q1_0", 128, 18, nil},
}

func (t Type) String() string {
	if b, ok := blocks[t]; ok {
		return b.name
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// fileTypes maps the values of general.file_type to names.
var fileTypes = map[float64]string{
	0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
	13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS",
	21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
	29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16",
}

func q8(out []float32, raw []byte) []float32 {
	d := half(binary.LittleEndian.Uint16(raw))
	for _, q := range raw[2:] {
		out = append(out, d*float32(int8(q)))
	}
	return out
}

func q4(out []float32, raw []byte) []float32 {
	d := half(binary.LittleEndian.Uint16(raw))
	for _, q := range raw[2:] {
		out = append(out, d*float32(int(q&15)-8))
	}
	for _, q := range raw[2:] {
		out = append(out, d*float32(int(q>>4)-8))
	}
	return out
}
