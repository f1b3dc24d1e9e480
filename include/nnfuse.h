/*
 * nnfuse: fuses the small layers of trained neural networks, checks the result and runs it.
 *
 * This header includes everything. The order below is also a reading order: the simple job first,
 *
 *     nnf_module *model = NULL;
 *     if (nnf_onnx_load(&model, "model.onnx", NULL) != NNF_OK) puts(nnf_error_message());
 *     nnf_clean(model, NULL);                   what exporters leave behind, in place
 *     nnf_fuse(model, NULL, NULL);              every chain that the tables know, in place
 *     nnf_onnx_save(model, "fused.onnx", NULL);
 *     nnf_module_release(model);
 *
 * Conventions, everywhere:
 *  - Functions that can fail return nnf_status; nnf_error_message() has the sentence for the user.
 *    A failed call leaves its inputs as they were and stores nothing through its output parameters.
 *  - Objects are reference-counted, atomically: _new gives one reference, _retain adds one,
 *    _release drops one (NULL is allowed).
 *  - Different threads may use different objects freely, and may run (nnf_session_run) or read one
 *    model at once, each with its own session. Changing a model while another thread uses it is a
 *    data race.
 *  - Sizes, shapes and indices are int64_t; strings are UTF-8 and end in NUL.
 */
#ifndef NNFUSE_H
#define NNFUSE_H

#include "nnfuse/clean.h"
#include "nnfuse/formats.h"
#include "nnfuse/fuse.h"
#include "nnfuse/graph.h"
#include "nnfuse/module.h"
#include "nnfuse/nn.h"
#include "nnfuse/session.h"
#include "nnfuse/status.h"
#include "nnfuse/tensor.h"
#include "nnfuse/verify.h"

#endif
