/* The segments' bytes, put into an output by several threads at once, part by part: weights are
 * folded while other parts are copied. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "formats/onnx/write.h"
#include "support/memory.h"
#include "support/threads.h"

/* What one thread takes at a time, and what it computes or collects before it puts that at once.
 * Writers to one file wait for one another: more than a few are of no use. */
enum { PART_BYTES = 1 << 21, BUFFER_BYTES = 65536, MOST_THREADS = 8 };

typedef struct write_job {
    const nnfi_file_layout *layout;
    const nnfi_segment *segments;
    size_t n;
    uint64_t size;
    const nnfi_output *output;
    atomic_uint_fast64_t next, done; /* bytes that a thread has taken; that are written */
    atomic_bool stopped;
    nnf_status status; /* of the thread that stopped the others, and its message */
    char message[2048];
} write_job;

/* Small pieces that stand in a row. */
typedef struct row_buffer {
    const nnfi_output *output;
    uint64_t at;
    size_t n;
    _Alignas(uint64_t) uint8_t bytes[BUFFER_BYTES];
} row_buffer;

static nnf_status flush(row_buffer *buffer) {
    size_t n = buffer->n;
    buffer->n = 0;
    return nnfi_output_put(buffer->output, buffer->at, buffer->bytes, n);
}

static nnf_status put(row_buffer *buffer, uint64_t at, const void *bytes, size_t size) {
    bool fits = at == buffer->at + buffer->n && size <= BUFFER_BYTES - buffer->n;
    if (!fits) {
        NNFI_TRY(flush(buffer));
        buffer->at = at;
    }
    if (size > BUFFER_BYTES / 2) {
        NNFI_TRY(flush(buffer));
        buffer->at = at + size;
        return nnfi_output_put(buffer->output, at, bytes, size);
    }
    memcpy(buffer->bytes + buffer->n, bytes, size);
    buffer->n += size;
    return NNF_OK;
}

/* Bytes [from, to) of a tensor's elements, computed where they are written from: both are ends of
 * elements. */
static nnf_status put_tensor(row_buffer *buffer, const nnfi_segment *segment, size_t from,
                             size_t to) {
    size_t each = nnf_dtype_size(nnf_tensor_dtype(segment->tensor));
    while (from < to) {
        size_t rest = to - from, room = BUFFER_BYTES - buffer->n;
        bool follows = segment->at + from == buffer->at + buffer->n && buffer->n % each == 0;
        if (!follows || (room < rest && room < BUFFER_BYTES / 2)) {
            NNFI_TRY(flush(buffer));
            buffer->at = segment->at + from;
            room = BUFFER_BYTES;
        }
        size_t size = rest < room ? rest : room / each * each;
        NNFI_TRY(nnf_tensor_read(segment->tensor, (int64_t)(from / each), (int64_t)(size / each),
                                 buffer->bytes + buffer->n));
        buffer->n += size;
        from += size;
    }
    return NNF_OK;
}

static nnf_status put_bytes(row_buffer *buffer, const nnfi_segment *segment, const void *bytes,
                            size_t from, size_t to) {
    return put(buffer, segment->at + from, (const char *)bytes + segment->begin + from, to - from);
}

/* What of the segment stands in [begin, end) of the file. Parts end inside of elements: these go
 * with the next part. */
static nnf_status put_segment(row_buffer *buffer, const write_job *job, const nnfi_segment *segment,
                              uint64_t begin, uint64_t end) {
    size_t from = begin > segment->at ? (size_t)(begin - segment->at) : 0, to = segment->size;
    if (end - segment->at < to) to = (size_t)(end - segment->at);
    if (from >= to) return NNF_OK; /* the part begins in a gap */
    if (segment->tensor) {
        from -= from % sizeof(uint64_t);
        if (to < segment->size) to -= to % sizeof(uint64_t);
        return put_tensor(buffer, segment, from, to);
    }
    if (!segment->bytes) return put_bytes(buffer, segment, job->layout->owned.data, from, to);
    if (to - from <= BUFFER_BYTES) {
        return put_bytes(buffer, segment, nnfi_bytes_data(segment->bytes), from, to);
    }
    NNFI_TRY(flush(buffer));
    return nnfi_output_copy(job->output, segment->at + from, segment->bytes, segment->begin + from,
                            to - from);
}

/* The last segment that begins at `at` or before. */
static size_t find_segment(const write_job *job, uint64_t at) {
    size_t low = 0, high = job->n;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (job->segments[middle].at <= at)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static nnf_status write_part(const write_job *job, uint64_t begin, uint64_t end) {
    row_buffer buffer;
    buffer.output = job->output;
    buffer.at = begin;
    buffer.n = 0;
    for (size_t i = find_segment(job, begin); i < job->n && job->segments[i].at < end; i++) {
        NNFI_TRY(put_segment(&buffer, job, &job->segments[i], begin, end));
    }
    return flush(&buffer);
}

static void stop(write_job *job, nnf_status status) {
    if (atomic_exchange(&job->stopped, true)) return;
    job->status = status;
    snprintf(job->message, sizeof job->message, "%s", nnf_error_message());
}

/* The caller's thread leads: its progress callback is called there. */
static void write_parts(void *payload, bool leads) {
    write_job *job = payload;
    while (!atomic_load(&job->stopped)) {
        uint64_t begin = atomic_fetch_add(&job->next, PART_BYTES);
        if (begin >= job->size) return;
        uint64_t end = job->size - begin < PART_BYTES ? job->size : begin + PART_BYTES;
        nnf_status status = write_part(job, begin, end);
        uint64_t done = atomic_fetch_add(&job->done, end - begin) + (end - begin);
        if (status == NNF_OK && leads &&
            !nnfi_progress("writing", (double)done / (double)job->size)) {
            status = nnf_error(NNF_ERROR_CANCELLED, "writing was cancelled");
        }
        if (status != NNF_OK) stop(job, status);
    }
}

nnf_status nnfi_segments_write(const nnfi_file_layout *layout, const nnfi_segment *segments,
                               size_t n, const nnfi_output *output) {
    if (n == 0) return NNF_OK;
    write_job job = {.layout = layout, .segments = segments, .n = n, .output = output};
    job.size = segments[n - 1].at + segments[n - 1].size;
    bool alone = job.size <= PART_BYTES || nnfi_output_is_stream(output);
    nnfi_together(alone ? 1 : (int)MOST_THREADS, write_parts, &job);
    if (!job.stopped) return NNF_OK;
    return nnf_error(job.status, "%s", job.message);
}
