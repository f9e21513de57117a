/* Kernels: what of the CUDA probe runs on the GPU itself: waiting, gathering, an expert of 4-bit weights, and nothing at all.
 *
 * Written for nvcc and for clang alike, without a header of CUDA: special registers and shuffles are PTX. calib/kernels.py makes text of
 * what they compile to, and the driver compiles that for the device that it finds. */
#define KERNEL extern "C" __attribute__((global)) void
#define DEVICE static inline __attribute__((device))
#define SPECIAL(name, reg) \
    DEVICE unsigned name(void) \
    { \
        unsigned value; \
        asm volatile("mov.u32 %0, %%" reg ";" : "=r"(value)); \
        return value; \
    }

typedef unsigned long long u64;
typedef unsigned short u16;

SPECIAL(thread_x, "tid.x")
SPECIAL(threads_x, "ntid.x")
SPECIAL(block_x, "ctaid.x")
SPECIAL(blocks_x, "nctaid.x")
SPECIAL(block_y, "ctaid.y")

struct quad {
    unsigned x, y, z, w;
};

DEVICE struct quad load_quad(const void *at)
{
    struct quad q;
    asm volatile("ld.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(q.x), "=r"(q.y), "=r"(q.z), "=r"(q.w) : "l"(at));
    return q;
}

DEVICE void store_quad(void *at, struct quad q)
{
    asm volatile("st.v4.u32 [%0], {%1, %2, %3, %4};" : : "l"(at), "r"(q.x), "r"(q.y), "r"(q.z), "r"(q.w) : "memory");
}

DEVICE u64 timer(void)
{
    u64 ns;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(ns));
    return ns;
}

DEVICE u64 cycles(void)
{
    u64 count;
    asm volatile("mov.u64 %0, %%clock64;" : "=l"(count));
    return count;
}

KERNEL es_nothing(void)
{
}

/* One thread, so that it hinders nothing; and an end by cycles, should the timer stand still. */
KERNEL es_spin(u64 ns)
{
    u64 start = timer(), first = cycles();
    while (timer() - start < ns && cycles() - first < 4 * ns)
        ;
}

/* Object block_y() by all blocks of its row; 16 bytes per thread and turn, what is left byte by byte. */
struct gather {
    const void *from[64];
    void *to[64];
};

KERNEL es_gather(struct gather table, u64 bytes)
{
    const char *from = (const char *)table.from[block_y()];
    char *to = (char *)table.to[block_y()];
    u64 first = (u64)block_x() * threads_x() + thread_x(), step = (u64)blocks_x() * threads_x();
    for (u64 i = first; i < bytes / 16; i += step)
        store_quad(to + 16 * i, load_quad(from + 16 * i));
    for (u64 i = bytes / 16 * 16 + first; i < bytes; i += step)
        to[i] = from[i];
}

/* Eight 4-bit weights, each less 8, times eight inputs. */
DEVICE float dot8(unsigned weights, const float *in)
{
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < 8; i++)
        sum += (float)((int)(weights >> (4 * i) & 15u) - 8) * in[i];
    return sum;
}

DEVICE float scale_of(u16 bits)         /* the upper half of a float: bf16 */
{
    float value;
    unsigned wide = (unsigned)bits << 16;
    asm("mov.b32 %0, %1;" : "=f"(value) : "r"(wide));
    return value;
}

DEVICE float warp_sum(float value)
{
    for (unsigned lane = 16; lane > 0; lane /= 2) {
        float other;
        asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 31, 0xffffffff;" : "=f"(other) : "f"(value), "r"(lane));
        value += other;
    }
    return value;
}

/* out[token][row] = sum of weight[row][k] * in[token][k]: a warp per row, 32 weights per lane and turn, of one group of 128 that
 * shares a scale. `inner` is a multiple of 128. Four tokens go through what was loaded once. */
KERNEL es_int4(const unsigned *weights, const u16 *scales, const float *in, unsigned in_stride, float *out, unsigned out_stride, unsigned rows,
    unsigned inner, unsigned tokens)
{
    unsigned lane = thread_x() % 32, row = block_x() * (threads_x() / 32) + thread_x() / 32;
    if (row >= rows)
        return;
    for (unsigned token = 0; token < tokens; token += 4) {
        float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        for (unsigned k = 32 * lane; k < inner; k += 1024) {
            struct quad q = load_quad(weights + ((u64)row * inner + k) / 8);
            float scale = scale_of(scales[((u64)row * inner + k) / 128]);
#pragma unroll
            for (unsigned t = 0; t < 4; t++)
                if (token + t < tokens) {
                    const float *x = in + (u64)(token + t) * in_stride + k;
                    sum[t] += scale * (dot8(q.x, x) + dot8(q.y, x + 8) + dot8(q.z, x + 16) + dot8(q.w, x + 24));
                }
        }
#pragma unroll
        for (unsigned t = 0; t < 4; t++) {
            float all = warp_sum(sum[t]);
            if (lane == 0 && token + t < tokens)
                out[(u64)(token + t) * out_stride + row] = all;
        }
    }
}
