/* Patterns: small graphs with one input and one result that are one layer written as several. A
 * formula says what the steps are; matching reads it from the result back to the input. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/batch.h"
#include "fuse/look.h"
#include "fuse/view.h"
#include "nn/nn_internal.h"
#include "support/error.h"
#include "support/hash.h"
#include "tensor/numbers.h"

/* A formula is made of calls, Type(operand, ...), of numbers, which are constants of that value,
 * and of letters: x, the input; a and e, one number, which becomes the layer's alpha or epsilon;
 * m, a matrix; w and b, a norm's scale and bias, or a layer's bias. The operands of Add and Mul may
 * change places, and where the second is a number n, Sub with -n and Div with 1/n do as well. */
typedef struct pattern {
    const char *type; /* what is lifted */
    int kind;         /* of an activation; of a norm: whether it is centred */
    const char *formula;
} pattern;

/* x gate / 2 in the orders and associations that exporters write. */
#define HALF_OF_X_TIMES(type, kind, gate)                                                     \
    {type, kind, "Mul(Mul(x, " gate "), 0.5)"}, {type, kind, "Mul(Mul(x, 0.5), " gate ")"}, { \
        type, kind, "Mul(x, Mul(" gate ", 0.5))"                                              \
    }
#define SQRT_HALF "0.70710678118654752"
#define SQRT_2_OF_PI "0.79788456080286536"
#define RELU6_OF_X_3 "ReLU6(Add(x, 3))"
#define SIXTH "0.16666666666666667"
/* A norm's root, its result, and that with scale and bias. */
#define DEVIATION "Sub(x, ReduceMean(x))"
#define ROOT(square) "Sqrt(Add(ReduceMean(" square "), e))"
#define LAYER_NORM(y)                                                                     \
    {"LayerNorm", true, "Add(Mul(" y ", w), b)"}, {"LayerNorm", true, "Mul(" y ", w)"}, { \
        "LayerNorm", true, y                                                              \
    }
#define RMS_NORM(y)                        \
    {"RMSNorm", false, "Mul(" y ", w)"}, { \
        "RMSNorm", false, y                \
    }
#define ALL_WAYS(NORM, top, square)                                                             \
    NORM("Div(" top ", " ROOT(square) ")"), NORM("Mul(" top ", Reciprocal(" ROOT(square) "))"), \
        NORM("Mul(" top ", Div(1, " ROOT(square) "))")

/* A longer formula stands in front of those that are part of it. */
static const pattern patterns[] = {
    {"SiLU", NNF_SILU, "Mul(x, Sigmoid(x))"},
    {"Swish", NNF_SWISH, "Mul(x, Sigmoid(Mul(x, a)))"},
    {"Mish", NNF_MISH, "Mul(x, Tanh(Softplus(x)))"},
    {"Mish", NNF_MISH, "Mul(x, Tanh(Log(Add(Exp(x), 1))))"},
    {"Hardswish", NNF_HARDSWISH, "Mul(x, Hardsigmoid(x))"},
    {"Hardswish", NNF_HARDSWISH, "Mul(x, Mul(" RELU6_OF_X_3 ", " SIXTH "))"},
    {"Hardswish", NNF_HARDSWISH, "Mul(Mul(x, " RELU6_OF_X_3 "), " SIXTH ")"},
    {"Hardswish", NNF_HARDSWISH, "Mul(Mul(x, " SIXTH "), " RELU6_OF_X_3 ")"},
    {"Hardsigmoid", NNF_HARDSIGMOID, "Mul(" RELU6_OF_X_3 ", " SIXTH ")"},
    {"LeakyReLU", NNF_LEAKY_RELU, "PReLU(x, a)"},
    {"Linear", 0, "Add(MatMul(x, m), b)"},
    {"Linear", 0, "MatMul(x, m)"},
    HALF_OF_X_TIMES("GELU", NNF_GELU, "Add(Erf(Mul(x, " SQRT_HALF ")), 1)"),
    HALF_OF_X_TIMES("GELU", NNF_GELU_TANH,
                    "Add(Tanh(Mul(Add(x, Mul(Pow(x, 3), 0.044715)), " SQRT_2_OF_PI ")), 1)"),
    HALF_OF_X_TIMES("GELU", NNF_GELU_TANH,
                    "Add(Tanh(Mul(Add(x, Mul(Mul(x, Mul(x, x)), 0.044715)), " SQRT_2_OF_PI
                    ")), 1)"),
    HALF_OF_X_TIMES("GELU", NNF_GELU_TANH,
                    "Add(Tanh(Mul(Mul(x, " SQRT_2_OF_PI
                    "), Add(Mul(Mul(x, 0.044715), x), 1))), 1)"),
    ALL_WAYS(LAYER_NORM, DEVIATION, "Pow(" DEVIATION ", 2)"),
    ALL_WAYS(LAYER_NORM, DEVIATION, "Mul(" DEVIATION ", " DEVIATION ")"),
    ALL_WAYS(RMS_NORM, "x", "Pow(x, 2)"),
    ALL_WAYS(RMS_NORM, "x", "Mul(x, x)"),
};
enum { N_PATTERNS = sizeof patterns / sizeof *patterns, N_LETTERS = 6, N_CANDIDATES = 32 };
_Static_assert(N_PATTERNS <= 64, "a pattern is a bit of a uint64_t");
static const char letters[N_LETTERS + 1] = "xaewbm";
enum { X, ALPHA, EPSILON, SCALE, BIAS, MATRIX };

/* What a formula fits so far: what the letters stand for, and the calls, each once. */
typedef struct match {
    nnfi_plan *plan;
    nnf_value letters[N_LETTERS];
    double numbers[N_LETTERS]; /* of alpha and epsilon */
    size_t calls[NNFI_LIFTED_NODES], n_calls;
    int most_ndim; /* of the constants */
} match;

static bool match_term(match *m, const char *term, nnf_value value);

/* ---- Formulas ---- */

/* Behind the term that begins at `term`. */
static const char *end_of(const char *term) {
    int depth = 0;
    while (*term && (depth > 0 || (*term != ',' && *term != ')'))) {
        depth += (*term == '(') - (*term == ')');
        term++;
    }
    return term;
}

/* The operands of a call's term; how many. */
static size_t operands_of(const char *term, const char *operands[NNFI_LIFTED_INPUTS]) {
    size_t n = 0;
    for (const char *at = strchr(term, '('); *at != ')'; at = end_of(at)) {
        at += at[1] == ' ' ? 2 : 1;
        operands[n++] = at;
    }
    return n;
}

/* ---- Constants ---- */

static const nnf_tensor *constant_of(const match *m, nnf_value value) {
    return nnfi_constant_of(m->plan->graph, value);
}

/* The one number that a constant holds. */
static bool read_number(match *m, nnf_value value, double *out) {
    const nnf_tensor *constant = constant_of(m, value);
    if (!constant || nnf_tensor_numel(constant) != 1 || nnf_tensor_dtype(constant) == NNF_BOOL ||
        nnfi_tensor_number(out, constant, 0) != NNF_OK)
        return false;
    if (nnf_tensor_ndim(constant) > m->most_ndim) m->most_ndim = nnf_tensor_ndim(constant);
    return true;
}

/* Half a unit in the last place, relative, as a formula's number was rounded, and as much again. */
static double tolerance_of(nnf_dtype dtype) {
    return dtype == NNF_F64    ? 0x1p-52
           : dtype == NNF_F32  ? 0x1p-23
           : dtype == NNF_F16  ? 0x1p-10
           : dtype == NNF_BF16 ? 0x1p-7
                               : 0;
}

/* `step`: the number is n as it stands, -n (Sub), or 1/n (Div). */
static bool is_number(match *m, nnf_value value, const char *term, const char *step) {
    double wanted = strtod(term, NULL), number;
    if (!read_number(m, value, &number)) return false;
    if (!strcmp(step, "Sub")) wanted = -wanted;
    if (!strcmp(step, "Div")) wanted = 1 / wanted;
    const double tolerance = tolerance_of(nnf_tensor_dtype(constant_of(m, value)));
    return fabs(number - wanted) <= tolerance * fabs(wanted);
}

static bool bind_letter(match *m, int letter, nnf_value value) {
    const nnf_tensor *constant = constant_of(m, value);
    if (m->letters[letter] != NNF_NO_VALUE) return m->letters[letter] == value;
    m->letters[letter] = value;
    if (letter == X) return true;
    if (!constant || !nnf_dtype_is_float(nnf_tensor_dtype(constant))) return false;
    if (letter == MATRIX) return nnf_tensor_ndim(constant) == 2;
    if (letter == SCALE || letter == BIAS) return nnf_tensor_ndim(constant) <= 1;
    return read_number(m, value, &m->numbers[letter]);
}

/* ---- Calls ---- */

static int rank_of(match *m, nnf_value value) {
    return nnfi_plan_infer(m->plan) == NNF_OK ? nnfi_known_get(&m->plan->infos, value)->ndim : -1;
}

/* Whether a reduction is over the last axis alone, which is kept. */
static bool reduces_last_axis(match *m, const nnfi_call *call) {
    const nnf_axes_options *options = nnf_module_options(call->module);
    double given;
    int64_t axis = options->n_axes == 1 ? options->axes[0] : 0;
    if (!options->keepdims) return false;
    if (call->n_inputs > 1 && call->inputs[1] != NNF_NO_VALUE) {
        const int most = m->most_ndim;
        if (!read_number(m, call->inputs[1], &given)) return false;
        m->most_ndim = most; /* a list of axes does not broadcast */
        axis = (int64_t)given;
    } else if (options->n_axes != 1) {
        return false;
    }
    return axis == -1 || (axis >= 0 && axis + 1 == rank_of(m, call->inputs[0]));
}

static bool is_named(const char *term, const char *type) {
    const size_t length = strlen(type);
    return *term == *type && !strncmp(term, type, length) && term[length] == '(';
}

/* The step with a number for which one of this type, with the inverse, does; NULL: none. */
static const char *inverse_of(const char *type) {
    return !strcmp(type, "Div") ? "Mul" : !strcmp(type, "Sub") ? "Add" : NULL;
}

/* Whether the call is of the type that the term asks for, with nothing to it that a formula does
 * not say. */
static bool is_call_of(match *m, const char *term, size_t n_operands, const nnfi_call *call) {
    const char *type = nnfi_known_type(call->module);
    const bool reduces = !strncmp(type, "Reduce", 6);
    if (!is_named(term, type)) return false;
    for (size_t i = n_operands; i < call->n_inputs; i++)
        if (call->inputs[i] != NNF_NO_VALUE && !reduces &&
            (!constant_of(m, call->inputs[i]) ||
             !nnfi_activation_knows(call->module, i, constant_of(m, call->inputs[i]))))
            return false;
    if (nnf_module_get_type(call->module)->flags & NNF_TYPE_ELEMENTWISE)
        return nnfi_activation_is_default(call->module);
    return !reduces || reduces_last_axis(m, call);
}

static bool add_call(match *m, size_t index) {
    for (size_t i = 0; i < m->n_calls; i++)
        if (m->calls[i] == index) return true;
    if (m->n_calls == NNFI_LIFTED_NODES) return false;
    m->calls[m->n_calls++] = index;
    return true;
}

/* A step with a number that is written as another one with its inverse. */
static bool match_inverse(match *m, const char *term, const char *const *operands,
                          const nnfi_call *call) {
    const char *type = nnfi_known_type(call->module);
    const char *step = inverse_of(type);
    return step && is_named(term, step) && isdigit((unsigned char)*operands[1]) &&
           is_number(m, call->inputs[1], operands[1], type) &&
           match_term(m, operands[0], call->inputs[0]);
}

static bool match_operands(match *m, const char *const *operands, size_t n, const nnfi_call *call,
                           bool swapped) {
    for (size_t i = 0; i < n; i++)
        if (!match_term(m, operands[i], call->inputs[swapped ? n - 1 - i : i])) return false;
    return true;
}

/* Whether what the module holds is what the file says: a program may have set it, or a fold. */
static bool holds_its_constants(const match *m, const nnfi_call *call) {
    const nnf_module_type *type = nnf_module_get_type(call->module);
    if (nnf_module_is_parametrized(call->module, NULL)) return false;
    for (size_t i = 0; i < type->n_slots && i + 1 < call->n_inputs; i++) {
        const nnf_tensor *held = nnf_module_tensor(call->module, type->slots[i].name);
        const nnf_tensor *said = constant_of(m, call->inputs[i + 1]);
        if (held && (!said || !nnfi_tensor_same(held, said))) return false;
    }
    return true;
}

static bool match_call(match *m, const char *term, size_t index) {
    const nnfi_call *call = m->plan->graph->calls[index];
    const char *operands[NNFI_LIFTED_INPUTS];
    const size_t n = operands_of(term, operands);
    const match before = *m;
    if (call->n_inputs < n || call->n_inputs > NNFI_LIFTED_INPUTS || call->n_outputs != 1 ||
        call->n_captures > 0 || m->plan->taken[index] || nnf_module_n_children(call->module) > 0 ||
        !holds_its_constants(m, call))
        return false;
    if (n == 2 && match_inverse(m, term, operands, call)) return add_call(m, index);
    *m = before;
    if (!is_call_of(m, term, n, call)) return false;
    const int orders = is_named(term, "Mul") || is_named(term, "Add") ? 2 : 1;
    for (int order = 0; order < orders; order++) {
        if (match_operands(m, operands, n, call, order > 0)) return add_call(m, index);
        *m = before;
    }
    return false;
}

static bool match_term(match *m, const char *term, nnf_value value) {
    if (value == NNF_NO_VALUE) return false;
    if (isdigit((unsigned char)*term)) return is_number(m, value, term, "");
    const char *letter = strchr(letters, *term);
    if (letter) return bind_letter(m, (int)(letter - letters), value);
    const int64_t producer = m->plan->uses.producer[value];
    return producer >= 0 && match_call(m, term, (size_t)producer);
}

/* ---- What must hold beside ---- */

/* A bias for each column of the matrix, or none. For rank 2, which has Gemm, chains do better. */
static bool is_linear(match *m) {
    const nnf_tensor *matrix = constant_of(m, m->letters[MATRIX]);
    const nnf_tensor *bias = constant_of(m, m->letters[BIAS]);
    const size_t next = nnfi_plan_next(m->plan, m->calls[m->n_calls - 1]);
    const bool gemm = bias || (next != NNFI_NO_CALL && nnfi_is_affine(m->plan, next));
    return rank_of(m, m->letters[X]) > (gemm ? 2 : 1) &&
           (!bias ||
            (nnf_tensor_ndim(bias) == 1 && nnf_tensor_numel(bias) == nnf_tensor_shape(matrix)[1] &&
             nnf_tensor_dtype(bias) == nnf_tensor_dtype(matrix)));
}

/* Constants must not enlarge what they are applied to. */
static bool constants_fit(match *m) {
    if (m->letters[MATRIX] != NNF_NO_VALUE) return is_linear(m);
    const bool scaled = m->letters[SCALE] != NNF_NO_VALUE;
    if (m->most_ndim == 0 && !scaled) return true;
    if (m->most_ndim > rank_of(m, m->letters[X])) return false;
    const nnf_type_info *x = nnfi_known_get(&m->plan->infos, m->letters[X]);
    for (int letter = SCALE; scaled && letter <= BIAS; letter++) {
        if (m->letters[letter] == NNF_NO_VALUE) continue;
        const int64_t n = nnf_tensor_numel(constant_of(m, m->letters[letter]));
        if (x->ndim < 1 || (n != 1 && !nnfi_dim_is(x->shape[x->ndim - 1], n))) return false;
    }
    return true;
}

/* Whether nothing but the matched calls needs their modules and what they give each other. */
static bool stands_alone(const match *m) {
    const nnfi_plan *plan = m->plan;
    for (size_t k = 0; k < m->n_calls; k++) {
        const nnfi_call *call = plan->graph->calls[m->calls[k]];
        const nnf_value out = call->outputs[0];
        const bool shared = nnfi_plan_last_call(plan, call->module) != m->calls[k] ||
                            plan->previous[m->calls[k]] >= 0;
        if (shared || nnf_module_n_forward_hooks(call->module) ||
            nnf_module_n_forward_pre_hooks(call->module))
            return false;
        if (k + 1 == m->n_calls) continue;
        if (plan->graph->values[out].is_output) return false;
        for (int64_t r = plan->uses.first_reader[out]; r < plan->uses.first_reader[out + 1]; r++) {
            bool inside = false;
            for (size_t j = k + 1; j < m->n_calls; j++)
                inside = inside || plan->uses.readers[r] == (int64_t)m->calls[j];
            if (!inside) return false;
        }
    }
    return true;
}

/* Whether linear layers alone read the result, perhaps through arithmetic with constants: these
 * fold a norm's scale and bias into their weights (spread.c), so that they are better left out of
 * it. */
static bool scale_goes_on(const match *m) {
    nnfi_plan *plan = m->plan;
    const int32_t *readers;
    size_t call = m->calls[m->n_calls - 1], next = call, n;
    if (m->letters[SCALE] == NNF_NO_VALUE) return false;
    while ((next = nnfi_plan_next(plan, next)) != NNFI_NO_CALL && nnfi_is_affine(plan, next))
        call = next;
    n = nnfi_n_readers(plan, call, &readers);
    const nnf_value value = plan->graph->calls[call]->outputs[0];
    for (size_t i = 0; i < n; i++) {
        const nnf_module *reader = plan->graph->calls[readers[i]]->module;
        if (!nnfi_is_linear(plan, (size_t)readers[i]) || !nnf_module_tensor(reader, "weight") ||
            nnfi_data_of(plan, (size_t)readers[i]) != value)
            return false;
        if (n > 1 && m->letters[BIAS] != NNF_NO_VALUE && !nnfi_takes_bias(plan, (size_t)readers[i]))
            return false;
    }
    return n > 0;
}

static int by_number(const void *a, const void *b) {
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

static bool match_pattern(match *m, nnfi_plan *plan, const pattern *wanted, size_t result) {
    *m = (match){.plan = plan};
    for (int i = 0; i < N_LETTERS; i++)
        m->letters[i] = NNF_NO_VALUE;
    if (!match_call(m, wanted->formula, result) || constant_of(m, m->letters[X])) return false;
    qsort(m->calls, m->n_calls, sizeof *m->calls, by_number);
    return stands_alone(m) && constants_fit(m) && !scale_goes_on(m);
}

/* ---- Lifting ---- */

/* What input `k` of a matched call is. */
static int8_t wire_of(const match *m, const nnfi_call *call, size_t k) {
    if (k >= call->n_inputs || call->inputs[k] == NNF_NO_VALUE) return NNFI_WIRE_NONE;
    if (call->inputs[k] == m->letters[X]) return NNFI_WIRE_DATA;
    for (size_t i = 0; i < m->n_calls; i++)
        if (m->plan->uses.producer[call->inputs[k]] == (int64_t)m->calls[i]) return (int8_t)i;
    return NNFI_WIRE_CAPTURE;
}

/* What the new call reads, and what its nodes do. */
static nnf_status add_reads(nnfi_reads *out, nnfi_lifted_options *options, nnfi_pile *pile,
                            const match *m) {
    const size_t most = N_LETTERS + m->n_calls * NNFI_LIFTED_INPUTS;
    out->inputs = nnfi_pile_alloc(pile, most * sizeof *out->inputs, _Alignof(nnf_value));
    if (!out->inputs) return nnfi_error_memory(most * sizeof *out->inputs, "a pattern's inputs");
    out->captures = out->inputs + N_LETTERS;
    const int inputs[] = {X, MATRIX, SCALE, BIAS};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        if (m->letters[inputs[i]] != NNF_NO_VALUE)
            out->inputs[out->n_inputs++] = m->letters[inputs[i]];
    for (size_t c = 0; c < m->n_calls; c++)
        for (size_t k = 0; k < NNFI_LIFTED_INPUTS; k++) {
            const nnfi_call *call = m->plan->graph->calls[m->calls[c]];
            options->wires[c][k] = wire_of(m, call, k);
            if (options->wires[c][k] == NNFI_WIRE_CAPTURE)
                out->captures[out->n_captures++] = call->inputs[k];
        }
    return NNF_OK;
}

static void set_options(nnfi_lifted_options *options, const pattern *wanted, const match *m) {
    const nnf_tensor *matrix = constant_of(m, m->letters[MATRIX]);
    if (matrix)
        options->as.linear =
            (nnf_linear_options){nnf_tensor_shape(matrix)[0], nnf_tensor_shape(matrix)[1], true};
    else if (strstr(wanted->type, "Norm"))
        options->as.norm =
            (nnf_norm_options){.axis = -1, .eps = m->numbers[EPSILON], .centred = wanted->kind};
    else if (wanted->kind == NNF_HARDSIGMOID)
        options->as.activation =
            (nnf_activation_options){NNF_HARDSIGMOID, .alpha = 1.0 / 6.0, .beta = 0.5};
    else
        options->as.activation = (nnf_activation_options){.kind = (nnf_activation)wanted->kind,
                                                          .alpha = m->numbers[ALPHA]};
}

static nnf_status set_parameters(nnf_module *lifted, const match *m) {
    const nnfi_value *values = m->plan->graph->values;
    if (m->letters[MATRIX] == NNF_NO_VALUE) return NNF_OK;
    NNFI_TRY(nnf_module_set_parameter(lifted, "weight", values[m->letters[MATRIX]].constant));
    if (m->letters[BIAS] == NNF_NO_VALUE) return NNF_OK;
    return nnf_module_set_parameter(lifted, "bias", values[m->letters[BIAS]].constant);
}

/* The layer, with the modules that it was as children: a writer passes their nodes on. */
static nnf_status make_lifted(nnf_module **out, const pattern *wanted,
                              const nnfi_lifted_options *options, const match *m,
                              const nnfi_job *job) {
    nnf_module *lifted;
    NNFI_TRY(nnf_module_new(&lifted, nnfi_lifted_type(wanted->type), options));
    nnf_module_set_training(lifted, nnf_module_training(job->modules[0]));
    nnf_status status = nnfi_set_numbered_children(lifted, job->modules, job->n);
    if (status == NNF_OK) status = set_parameters(lifted, m);
    if (status != NNF_OK)
        nnf_module_release(lifted);
    else
        *out = lifted;
    return status;
}

static nnf_status add_job(nnfi_batch *batch, const pattern *wanted, const match *m) {
    nnfi_lifted_options options = {0};
    nnfi_job *job;
    NNFI_TRY(nnfi_batch_add_calls(batch, &job, m->plan, m->calls, m->n_calls));
    set_options(&options, wanted, m);
    NNFI_TRY(add_reads(&job->reads, &options, &batch->pile, m));
    NNFI_TRY(make_lifted(&job->fused[0], wanted, &options, m, job));
    for (size_t k = 1; k < job->n; k++)
        NNFI_TRY(nnfi_plan_identity(job->plan, &job->fused[k], true));
    return NNF_OK;
}

/* The patterns whose last call is of a type, as bits: of those that were asked for last. */
typedef struct candidates {
    const nnf_module_type *types[N_CANDIDATES];
    uint64_t patterns[N_CANDIDATES];
} candidates;

static uint64_t find_candidates(candidates *known, const nnf_module *module) {
    const nnf_module_type *type = nnf_module_get_type(module);
    const size_t place = (size_t)nnfi_hash_pointer(type) % N_CANDIDATES;
    if (known->types[place] == type) return known->patterns[place];
    const char *name = nnfi_known_type(module), *step = inverse_of(name);
    uint64_t found = 0;
    for (size_t p = 0; p < N_PATTERNS; p++)
        if (is_named(patterns[p].formula, name) || (step && is_named(patterns[p].formula, step)))
            found |= UINT64_C(1) << p;
    known->types[place] = type;
    return known->patterns[place] = found;
}

/* From the end, so that a pattern is found before those that are part of it. */
static nnf_status find_patterns(nnfi_batch *batch, nnfi_plan *plan) {
    candidates known = {0};
    for (size_t c = plan->graph->n_calls; c-- > 0;) {
        const uint64_t found = find_candidates(&known, plan->graph->calls[c]->module);
        for (size_t p = 0; found && p < N_PATTERNS && !plan->taken[c]; p++) {
            match m;
            if (found >> p & 1 && match_pattern(&m, plan, &patterns[p], c))
                NNFI_TRY(add_job(batch, &patterns[p], &m));
            if (plan->lacks_memory) return nnfi_error_memory(1, "the shapes in a graph");
        }
    }
    return NNF_OK;
}

nnf_status nnf_lift_patterns(nnf_module *graph, size_t *n_lifted) {
    if (!graph || !nnf_module_is_graph(graph))
        return nnf_error(NNF_ERROR_INVALID, "patterns are found in a Graph, not in a %s",
                         graph ? nnf_module_type_name(graph) : "null pointer");
    nnfi_batch batch = {.root = graph};
    nnfi_plan *plan;
    nnf_status status = nnfi_batch_plan(&batch, &plan, graph);
    if (status == NNF_OK) status = find_patterns(&batch, plan);
    size_t n = batch.n_jobs;
    if (status == NNF_OK && n > 0) status = nnfi_batch_commit(&batch, NULL);
    nnfi_batch_clear(&batch);
    if (status == NNF_OK && n_lifted) *n_lifted = n;
    return status;
}
