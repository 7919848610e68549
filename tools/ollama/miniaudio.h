// Stands in for the miniaudio library, which reads sound files: the server is built for tests that send none. Each call
// says that it failed, so that a sound is refused.
#ifndef RETRAIND_MINIAUDIO_STAND_IN
#define RETRAIND_MINIAUDIO_STAND_IN

typedef int ma_result;
typedef unsigned long long ma_uint64;
typedef int ma_format;
typedef struct { int unused; } ma_decoder_config;
typedef struct { int unused; } ma_decoder;

enum { MA_SUCCESS = 0, MA_ERROR = -1, ma_format_f32 = 5 };

static inline ma_decoder_config ma_decoder_config_init(ma_format, int, int) { return ma_decoder_config(); }
static inline ma_result ma_decoder_init_memory(const void *, unsigned long, const ma_decoder_config *, ma_decoder *) {
	return MA_ERROR;
}
static inline ma_result ma_decoder_get_length_in_pcm_frames(ma_decoder *, ma_uint64 *) { return MA_ERROR; }
static inline ma_result ma_decoder_read_pcm_frames(ma_decoder *, void *, ma_uint64, ma_uint64 *) { return MA_ERROR; }
static inline void ma_decoder_uninit(ma_decoder *) {}

#endif
