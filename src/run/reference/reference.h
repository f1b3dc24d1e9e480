/* The reference kernels: plain C for checking the others and for small targets. */
#ifndef NNFI_REFERENCE_H
#define NNFI_REFERENCE_H

#include "run/kernels.h"

nnf_status nnfi_reference_conv(nnf_session *session, const nnfi_conv *call);
nnf_status nnfi_reference_matmul(nnf_session *session, const nnfi_matmul *call);
nnf_status nnfi_reference_channel_affine(nnf_session *session, const nnfi_channel_affine *call);
nnf_status nnfi_reference_pool(nnf_session *session, const nnfi_pool *call);
nnf_status nnfi_reference_activation(nnf_session *session, const nnfi_activation_call *call);
nnf_status nnfi_reference_softmax(nnf_session *session, const nnfi_softmax *call);
nnf_status nnfi_reference_binary(nnf_session *session, const nnfi_binary *call);

#endif
