/* Random instances of a fusion. A generator builds one in a graph: what is to fuse, or, where it is
 * asked for a near miss, the same with one condition broken. Here stands what all have in common:
 * the larger graph around it, dtypes, and that the fused graph has the calls that it should have
 * and gives in double precision what the graph gave. */
#ifndef FUSIONS_SUPPORT_H
#define FUSIONS_SUPPORT_H

#include "nnfuse/clean.h"
#include "nnfuse/session.h"
#include "random_support.h"

enum {
    INSTANCES = 500,
    INSTANCES_OF_A_MISS = 50,
    MOST_BETWEEN = 16,
    MOST_MISSES = 12,
    MOST_INPUTS = 8,
    MOST_OUTPUTS = 16
};

typedef struct instance {
    nnf_module *graph;
    uint64_t seed;
    nnf_dtype dtype;
    const char *miss;                /* the condition to be broken, or NULL */
    bool missed;                     /* the generator knows it */
    nnf_value x;                     /* what the next call reads */
    nnf_value between[MOST_BETWEEN]; /* what the calls give each other */
    size_t n_between;
    size_t n_left; /* calls that are left of the generator's; 1 where it says nothing else */
    size_t n_fusing;
    size_t n_ahead;  /* of these: that compute from constants, and go whatever fuses */
    size_t n_chains; /* that are found, where what fuses does not show in the calls; 0: it does */
    int n_named;
    shape inputs[MOST_INPUTS]; /* of the graph, as the test runs it */
    size_t n_inputs;
} instance;

typedef struct fusion_row {
    const char *name;
    void (*make)(instance *it);
    const char *misses[MOST_MISSES]; /* NULL ends them */
    const char *only;                /* no other kind of fusion than this; NULL: all */
} fusion_row;

/* What breaks every fusion that joins calls. */
static const char *const common_misses[] = {"another reader", "an output of the graph"};

/* ---- For generators ---- */

/* Whether this is the condition to be broken. */
static inline bool breaks(instance *it, const char *condition) {
    if (!it->miss || strcmp(it->miss, condition)) return false;
    it->missed = true;
    return true;
}

static inline const char *new_name(instance *it, const char *kind) {
    static char name[24];
    snprintf(name, sizeof name, "%s%d", kind, it->n_named++);
    return name;
}

/* Another input of the graph; what it is known to be is in `info`. */
static inline nnf_value input_with(instance *it, const nnf_type_info *info, int ndim,
                                   const int64_t *dims) {
    nnf_value value;
    assert_true(it->n_inputs < MOST_INPUTS);
    shape *of = &it->inputs[it->n_inputs++];
    of->ndim = ndim;
    memcpy(of->dims, dims, (size_t)ndim * sizeof *dims);
    assert_ok(nnf_graph_add_input(it->graph, &value, new_name(it, "x"), info));
    return value;
}
/* The same; `symbolic`: the size of the batch is not known. */
static inline nnf_value more_input(instance *it, int ndim, const int64_t *dims, bool symbolic) {
    nnf_type_info info;
    nnf_type_info_init(&info);
    info.dtype = it->dtype;
    info.ndim = ndim;
    for (int i = 0; i < ndim; i++)
        info.shape[i] = (nnf_dim){dims[i], 0};
    if (symbolic && ndim > 0) assert_ok(nnf_graph_symbol(it->graph, &info.shape[0].symbol, "N"));
    return input_with(it, &info, ndim, dims);
}

static inline nnf_value constant_of(instance *it, nnf_tensor *tensor) {
    nnf_value value;
    assert_ok(nnf_graph_add_constant(it->graph, &value, new_name(it, "c"), tensor));
    return value;
}
/* Numbers from low to high. */
static inline nnf_value random_constant(instance *it, int ndim, const int64_t *dims, double low,
                                        double high) {
    nnf_tensor *tensor = random_tensor(it->dtype, ndim, dims, low, high, it->seed++);
    nnf_value value = constant_of(it, tensor);
    nnf_tensor_release(tensor);
    return value;
}

/* What is known of a value. */
static inline nnf_type_info info_of(const instance *it, nnf_value value) {
    nnf_type_info *infos, info;
    size_t n;
    nnf_type_info_init(&info);
    assert_ok(nnf_graph_infer(it->graph, NULL, &infos, &n));
    assert_ok(nnf_type_info_copy(&info, &infos[value]));
    nnf_graph_infer_free(infos, n);
    return info; /* floats have no known values, which alone would be freed */
}
/* The value's shape, with the batch that the test runs. */
static inline shape shape_of(const instance *it, nnf_value value) {
    nnf_type_info info = info_of(it, value);
    shape of = {info.ndim, {0}};
    for (int i = 0; i < info.ndim; i++)
        of.dims[i] = info.shape[i].symbol ? it->inputs[0].dims[0] : info.shape[i].value;
    return of;
}

/* Adds a call of the module (taken over) on `inputs`; a third have their parameters as inputs too,
 * as a file's calls have them. */
static inline nnf_value add(instance *it, nnf_module *module, nnf_value *inputs, size_t n) {
    const nnf_module_type *type = nnf_module_get_type(module);
    const char *path;
    nnf_value output;
    assert_ok(nnf_module_to(module, it->dtype));
    nnf_module_eval(module);
    if (n == 1 && type->n_slots > 0 && nnf_module_n_children(module) == 0 && chance(&it->seed, 3))
        for (size_t s = 0; s < type->n_slots; s++) {
            nnf_tensor *tensor = nnf_module_tensor(module, type->slots[s].name);
            if (tensor && nnf_dtype_is_float(nnf_tensor_dtype(tensor)))
                inputs[n++] = constant_of(it, tensor);
            else if (tensor)
                break; /* num_batches_tracked is no input */
            else
                inputs[n++] = NNF_NO_VALUE;
        }
    while (n > 1 && inputs[n - 1] == NNF_NO_VALUE)
        n--;
    path = new_name(it, "m");
    add_module(it->graph, path, module);
    assert_ok(nnf_graph_add_call(it->graph, path, inputs, n, NULL, &output, 1));
    return output;
}

/* A call that is no part of what fuses, of an activation that no fusion takes. */
static inline nnf_value add_aside(instance *it, nnf_value value) {
    nnf_module *module;
    assert_ok(nnf_activation_new(&module, NNF_SOFTSIGN));
    return add(it, module, &value, 1);
}

/* The instance's input. Half have a call in front of it. */
static inline void start(instance *it, int ndim, const int64_t *dims, bool symbolic) {
    it->x = more_input(it, ndim, dims, symbolic);
    if (chance(&it->seed, 2)) it->x = add_aside(it, it->x);
}

/* The next call of those that fuse: on what the one before gave. */
static inline void then_with(instance *it, nnf_module *module, nnf_value other, bool swapped) {
    nnf_value inputs[8] = {swapped ? other : it->x, swapped ? it->x : other};
    if (it->n_fusing++ > 0) it->between[it->n_between++] = it->x;
    it->x = add(it, module, inputs, other == NNF_NO_VALUE ? 1 : 2);
}
static inline void then(instance *it, nnf_module *module) {
    then_with(it, module, NNF_NO_VALUE, false);
}

/* ---- Building ---- */

static inline nnf_dtype dtype_of(uint64_t number) {
    static const nnf_dtype narrow[] = {NNF_F32, NNF_F16};
    return number % 4 == 3 ? narrow[number / 4 % 2] : NNF_F64;
}

/* Values between are given out, or read, by others too: nothing may fuse. */
static inline void add_common_miss(instance *it) {
    for (size_t i = 0; i < it->n_between; i++)
        if (breaks(it, "an output of the graph"))
            assert_ok(nnf_graph_add_output(it->graph, it->between[i]));
        else if (breaks(it, "another reader"))
            assert_ok(nnf_graph_add_output(it->graph, add_aside(it, it->between[i])));
}

static inline void build(instance *it, const fusion_row *row, uint64_t number, const char *miss) {
    *it = (instance){.graph = new_graph(),
                     .seed = number * 7919 + 1,
                     .dtype = dtype_of(number),
                     .miss = miss,
                     .n_left = 1};
    nnf_module_eval(it->graph);
    row->make(it);
    add_common_miss(it);
    assert_true(!miss || it->missed);
    for (int64_t n = pick(&it->seed, 0, 2); n > 0; n--) /* several readers of the result */
        assert_ok(nnf_graph_add_output(it->graph, add_aside(it, it->x)));
    /* cleaning takes out what nobody reads */
    if (nnf_graph_n_outputs(it->graph) == 0 || it->n_ahead > 0 || chance(&it->seed, 3))
        assert_ok(nnf_graph_add_output(it->graph, it->x));
}

/* ---- Comparing ---- */

static inline void run_one(nnf_module *graph, nnf_tensor *const *inputs, nnf_tensor **outputs) {
    nnf_session *session;
    const nnf_session_options options = {.threads = 1, .kernels = NNF_KERNELS_REFERENCE};
    assert_ok(nnf_session_new(&session, graph, &options));
    assert_ok(nnf_session_run(session, inputs, nnf_graph_n_inputs(graph), outputs,
                              nnf_graph_n_outputs(graph)));
    nnf_session_release(session);
}

/* The largest difference, relative to the largest number expected; infinite where one has a NaN or
 * an infinity that the other doesn't have. */
static inline double difference(const nnf_tensor *actual, const nnf_tensor *expected) {
    nnf_tensor *a, *e;
    const void *is, *wanted;
    double largest = 0, most = 0;
    assert_int_equal(nnf_tensor_dtype(actual), nnf_tensor_dtype(expected));
    assert_int_equal(nnf_tensor_ndim(actual), nnf_tensor_ndim(expected));
    assert_memory_equal(nnf_tensor_shape(actual), nnf_tensor_shape(expected),
                        sizeof(int64_t) * (size_t)nnf_tensor_ndim(expected));
    assert_ok(nnf_tensor_convert(&a, actual, NNF_F64));
    assert_ok(nnf_tensor_convert(&e, expected, NNF_F64));
    assert_ok(nnf_tensor_data(a, &is));
    assert_ok(nnf_tensor_data(e, &wanted));
    for (int64_t i = 0; i < nnf_tensor_numel(expected); i++) {
        double x = ((const double *)is)[i], y = ((const double *)wanted)[i];
        if (x == y || (isnan(x) && isnan(y))) x = y = isfinite(y) ? y : 0;
        largest = fmax(largest, fabs(y));
        most = isfinite(x - y) ? fmax(most, fabs(x - y)) : INFINITY;
    }
    nnf_tensor_release(a);
    nnf_tensor_release(e);
    return most > 0 ? most / largest : 0;
}

/* Every output of both, on random inputs. Narrow dtypes are rounded after each call of the unfused
 * graph, and magnified by the next. */
static inline void assert_same_results(const instance *it, nnf_module *fused, const char *what) {
    const double tolerance = it->dtype == NNF_F64 ? 1e-12 : it->dtype == NNF_F32 ? 1e-5 : 2e-2;
    size_t n_inputs = nnf_graph_n_inputs(it->graph), n_outputs = nnf_graph_n_outputs(it->graph);
    nnf_tensor *inputs[MOST_INPUTS], *expected[MOST_OUTPUTS], *actual[MOST_OUTPUTS];
    assert_true(n_inputs == it->n_inputs && n_outputs <= MOST_OUTPUTS);
    for (size_t i = 0; i < n_inputs; i++) {
        const shape *of = &it->inputs[i];
        inputs[i] = random_tensor(it->dtype, of->ndim, of->dims, -1, 1.25, it->seed + i);
    }
    run_one(it->graph, inputs, expected);
    run_one(fused, inputs, actual);
    for (size_t i = 0; i < n_outputs; i++) {
        double error = difference(actual[i], expected[i]);
        if (!(error <= tolerance))
            fail_msg("%s: output %zu of %s differs by %g of the largest", what, i,
                     nnf_dtype_name(it->dtype), error);
    }
    for (size_t i = 0; i < n_outputs; i++) {
        nnf_tensor_release(expected[i]);
        nnf_tensor_release(actual[i]);
    }
    for (size_t i = 0; i < n_inputs; i++)
        nnf_tensor_release(inputs[i]);
}

/* A mapping for a row; NULL: the default one. */
static inline nnf_mapping *mapping_of(const fusion_row *row) {
    nnf_mapping *mapping;
    size_t n;
    const nnf_fusion *fusions = nnf_fusions(&n);
    if (!row->only) return NULL;
    assert_ok(nnf_mapping_new(&mapping));
    for (size_t i = 0; i < n; i++)
        if (strcmp(fusions[i].name, row->only))
            assert_ok(nnf_mapping_skip(mapping, fusions[i].name));
    return mapping;
}

static inline void check_instance(const fusion_row *row, uint64_t number, const char *miss) {
    instance it;
    nnf_module *fused;
    nnf_chain_list *found;
    char before[1024], what[2200];
    build(&it, row, number, miss);
    assert_ok(nnf_module_copy(&fused, it.graph));
    nnf_mapping *mapping = mapping_of(row);
    if (it.n_ahead) assert_ok(nnf_clean(fused, NULL));
    assert_ok(nnf_fuse_found(&found, fused, mapping, NULL));
    nnf_mapping_release(mapping);
    size_t n = nnf_graph_n_calls(it.graph);
    size_t expected = miss ? n - it.n_ahead : n - it.n_fusing + it.n_left;
    snprintf(before, sizeof before, "%s", calls_text(it.graph));
    snprintf(what, sizeof what, "%s, instance %d%s%s: %s -> %s", row->name, (int)number,
             miss ? ", near miss: " : "", miss ? miss : "", before, calls_text(fused));
    for (size_t i = 0; i < found->n_left && nnf_graph_n_calls(fused) != expected; i++)
        print_message("%s: %s\n", found->left[i].name, found->left[i].reason);
    const size_t n_chains = found->n_chains, n_expected = miss ? 0 : it.n_chains;
    nnf_chain_list_release(found);
    if (nnf_graph_n_calls(fused) != expected)
        fail_msg("%s: %zu calls are left, and should be %zu", what, nnf_graph_n_calls(fused),
                 expected);
    if (it.n_chains && n_chains != n_expected)
        fail_msg("%s: %zu chains are found, and should be %zu", what, n_chains, n_expected);
    assert_same_results(&it, fused, what);
    nnf_module_release(fused);
    nnf_module_release(it.graph);
}

/* A test of a row, which is its initial state. */
static inline void check_row(void **state) {
    const fusion_row *row = *state;
    for (uint64_t i = 0; i < (under_valgrind() ? 20 : INSTANCES); i++)
        check_instance(row, i, NULL);
    const uint64_t n = under_valgrind() ? 4 : INSTANCES_OF_A_MISS;
    for (size_t m = 0; m < sizeof common_misses / sizeof *common_misses; m++)
        for (uint64_t i = 0; i < n; i++)
            check_instance(row, i, common_misses[m]);
    for (size_t m = 0; m < MOST_MISSES && row->misses[m]; m++)
        for (uint64_t i = 0; i < n; i++)
            check_instance(row, i, row->misses[m]);
}

static inline int check_rows(const fusion_row *rows, size_t n) {
    struct CMUnitTest tests[16];
    assert_true(n <= sizeof tests / sizeof *tests);
    for (size_t i = 0; i < n; i++) {
        tests[i] = (struct CMUnitTest)cmocka_unit_test_prestate(check_row, (void *)&rows[i]);
        tests[i].name = rows[i].name;
    }
    return _cmocka_run_group_tests("fusions", tests, n, NULL, NULL);
}

#endif
