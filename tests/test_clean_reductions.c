/* Reductions and the layers that drop their axes, on random instances: cleaning leaves one
 * reduction, and the network computes the same; where anything else becomes of the axes, both stay.
 */
#include "fusions_layers.h"
#include "nnfuse/clean.h"

static const char *const reductions[] = {
    "ReduceMean", "ReduceMax", "ReduceMin",       "ReduceSum",    "ReduceProd",
    "ReduceL1",   "ReduceL2",  "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"};

static nnf_module *module_of(const char *type, const void *options) {
    nnf_module *module;
    assert_ok(nnf_module_new(&module, nnf_type(type), options));
    return module;
}

static nnf_module *flatten(void) {
    nnf_flatten_options options;
    memset(&options, 0, sizeof options);
    options.start_dim = 1;
    options.end_dim = -1;
    options.to_matrix = true;
    return module_of("Flatten", &options);
}

/* Pooling over all of space, or a reduction of some axes: marks them. */
static nnf_module *random_reduction(instance *it, int ndim, bool *reduced, bool space) {
    nnf_axes_options options;
    memset(&options, 0, sizeof options); /* cleaning compares options whole */
    options.keepdims = true;
    nnf_module *pool;
    for (int i = 0; i < ndim; i++)
        reduced[i] = space ? i >= 2 : chance(&it->seed, 2);
    if (!space) reduced[pick(&it->seed, 0, ndim - 1)] = true;
    if (space && chance(&it->seed, 2)) {
        assert_ok(nnf_global_pool_new(&pool, chance(&it->seed, 2)));
        return pool;
    }
    for (int i = ndim; i-- > 0;)
        if (reduced[i]) options.axes[options.n_axes++] = chance(&it->seed, 2) ? i : i - ndim;
    size_t kind = (size_t)pick(&it->seed, 0, sizeof reductions / sizeof *reductions - 1);
    return module_of(reductions[kind], &options);
}

static void then_reshape(instance *it, const int64_t *dims, int64_t n) {
    nnf_tensor *target;
    assert_ok(nnf_tensor_from_data(&target, NNF_I64, 1, &n, dims));
    nnf_value value = constant_of(it, target);
    nnf_tensor_release(target);
    then_with(it, module_of("Reshape", &(nnf_reshape_options){0}), value, false);
}

static void then_squeeze(instance *it, const bool *axes, int ndim) {
    nnf_axes_options options;
    memset(&options, 0, sizeof options);
    for (int i = 0; i < ndim; i++)
        if (axes[i]) options.axes[options.n_axes++] = i;
    then(it, module_of("Squeeze", &options));
}

static void reduction_and_what_drops_its_axes(instance *it) {
    static const int64_t dims[] = {2, 3, 4, 5, 2};
    bool reduced[NNF_MAX_DIMS];
    int64_t kept[NNF_MAX_DIMS], n_kept = 0;
    const bool space = chance(&it->seed, 2);
    const int ndim = (int)pick(&it->seed, space ? 3 : 2, 5);
    start(it, ndim, dims, space && chance(&it->seed, 2));
    then(it, random_reduction(it, ndim, reduced, space));
    for (int i = 0; i < ndim; i++)
        if (!reduced[i]) kept[n_kept++] = dims[i];
    if (breaks(it, "an axis that stays")) {
        int64_t longer[NNF_MAX_DIMS], n = 0;
        while (n < ndim - n_kept + 1) /* of no rank that another rule takes */
            longer[n++] = 1;
        for (int64_t i = 0; i < n_kept; i++)
            longer[n++] = space && i == 0 ? -1 : kept[i];
        then_reshape(it, longer, n);
    } else if (breaks(it, "another order")) {
        int64_t elements = 1;
        for (int64_t i = 0; i < n_kept; i++)
            elements *= kept[i];
        int64_t flat[2] = {1, elements};
        if (space) flat[0] = -1, flat[1] = 1;
        then_reshape(it, flat, n_kept == 1 ? 2 : 1 + space);
        if (n_kept == 2 && !space) it->missed = true;
    } else if (space && chance(&it->seed, 3)) {
        then(it, flatten());
    } else if (chance(&it->seed, 2)) {
        then_squeeze(it, reduced, ndim);
    } else {
        if (space) kept[0] = chance(&it->seed, 2) ? 0 : -1;
        then_reshape(it, kept, n_kept);
    }
}

static const fusion_row row = {
    "reductions", reduction_and_what_drops_its_axes, {"an axis that stays", "another order"}, NULL};

static void check(uint64_t number, const char *miss) {
    instance it;
    nnf_module *cleaned;
    nnf_clean_report report;
    char what[2200];
    build(&it, &row, number, miss);
    assert_ok(nnf_module_copy(&cleaned, it.graph));
    assert_ok(nnf_clean(cleaned, &report));
    snprintf(what, sizeof what, "instance %d%s%s: %s", (int)number, miss ? ", near miss: " : "",
             miss ? miss : "", calls_text(it.graph));
    if (report.n_removed != (miss == NULL))
        fail_msg("%s: %zu calls were removed", what, report.n_removed);
    for (size_t i = 0; i < nnf_graph_n_calls(cleaned); i++)
        assert_false(nnf_module_training(nnf_graph_call_module(cleaned, i)));
    assert_same_results(&it, cleaned, what);
    nnf_module_release(cleaned);
    nnf_module_release(it.graph);
}

static void axes_are_dropped_by_the_reduction(void **state) {
    (void)state;
    for (uint64_t i = 0; i < (under_valgrind() ? 20 : INSTANCES); i++)
        check(i, NULL);
}

static void other_pairs_stay(void **state) {
    (void)state;
    const char *const misses[] = {common_misses[0], common_misses[1], row.misses[0], row.misses[1]};
    for (size_t m = 0; m < sizeof misses / sizeof *misses; m++)
        for (uint64_t i = 0; i < (under_valgrind() ? 4 : INSTANCES_OF_A_MISS); i++)
            check(i, misses[m]);
}

/* Two equal poolings of one value, of which one loses its axes; one module that is called twice. */
static void what_others_need_stays(void **state) {
    (void)state;
    static const int64_t dims[] = {2, 3, 4, 5};
    for (int twice = 0; twice < 2; twice++) {
        instance it = {.graph = new_graph(), .seed = 3, .dtype = NNF_F64};
        nnf_module *pool, *cleaned;
        nnf_value x, y;
        nnf_clean_report report;
        x = more_input(&it, 4, dims, false);
        assert_ok(nnf_global_pool_new(&pool, true));
        add_module(it.graph, "pool", pool);
        assert_ok(nnf_global_pool_new(&pool, true));
        add_module(it.graph, "other", pool);
        assert_ok(nnf_graph_add_call(it.graph, "pool", &x, 1, NULL, &y, 1));
        y = add(&it, flatten(), (nnf_value[8]){y}, 1);
        assert_ok(nnf_graph_add_output(it.graph, add_aside(&it, y)));
        x = twice ? add_aside(&it, x) : x;
        assert_ok(nnf_graph_add_call(it.graph, twice ? "pool" : "other", &x, 1, NULL, &y, 1));
        assert_ok(nnf_graph_add_output(it.graph, add_aside(&it, y)));
        nnf_module_eval(it.graph);
        assert_ok(nnf_module_copy(&cleaned, it.graph));
        assert_ok(nnf_clean(cleaned, &report));
        assert_int_equal(report.n_removed, !twice);
        assert_same_results(&it, cleaned, twice ? "one module" : "equal ones");
        nnf_module_release(cleaned);
        nnf_module_release(it.graph);
    }
}

TEST_MAIN(cmocka_unit_test(axes_are_dropped_by_the_reduction), cmocka_unit_test(other_pairs_stay),
          cmocka_unit_test(what_others_need_stays))
