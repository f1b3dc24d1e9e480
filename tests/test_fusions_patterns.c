/* Layers that a graph computes in several steps, on random instances: each is found, computes the
 * same, and isn't found where a step is another one. */
#include "fusions_layers.h"

#include <ctype.h>

/* Calls of types on the input x, numbers, and norms' scale w and bias b; a near miss changes what
 * ends in !. The first ones have no other layer's formula in them: near misses are made of these.
 */
static const char *const formulas[] = {
    "Mul(x,Sigmoid(x))",
    "Mul(x,Sigmoid(Mul(x,1.702)))",
    "Mul(x,Tanh(Softplus(x)))",
    "Mul(x,Tanh(Log(Add(Exp(x),1!))))",
    "Mul(Mul(x,Add(Erf(Div(x,1.4142135623730951!)),1)),0.5)",
    "Mul(Mul(0.5,x),Add(1!,Erf(Mul(x,0.70710678118654752))))",
    "Mul(x,Mul(Add(Erf(Div(x,1.4142135623730951)),1),0.5!))",
    "Mul(x,Div(Sub(Erf(Mul(x,0.70710678118654752)),-1),2!))",
    "Mul(Mul(0.5,x),Add(1,Tanh(Mul(0.79788456080286536,Add(x,Mul(0.044715!,Pow(x,3)))))))",
    "Mul(x,Mul(0.5,Add(1,Tanh(Mul(0.79788456080286536!,Add(x,Mul(0.044715,Mul(Mul(x,x),x))))))))",
    "Mul(Mul(0.5!,x),Add(1,Tanh(Mul(Mul(x,0.79788456080286536),Add(1,Mul(Mul(0.044715,x),x))))))",
    "Div(Sub(x,ReduceMean(x)),Sqrt(Add(ReduceMean(Pow(Sub(x,ReduceMean(x)),2!)),1e-5)))",
    "Div(x,Sqrt(Add(ReduceMean(Pow(x,2!)),1e-6)))",
    "Mul(x,Hardsigmoid(x))",
    "Div(Mul(x,ReLU6(Add(x,3))),6)",
    "Mul(x,Div(ReLU6(Add(x,3)),6))",
    "Mul(ReLU6(Add(x,3)),Div(x,6))",
    "Mul(ReLU6(Sub(x,-3)),Mul(x,0.16666666666666667))",
    "Div(ReLU6(Add(x,3)),6)",
    "Add(Mul(Div(Sub(x,ReduceMean(x)),Sqrt(Add(ReduceMean(Pow(Sub(x,ReduceMean(x)),2)),1e-5))),w),"
    "b)",
    "Mul(w,Div(Sub(x,ReduceMean(x)),Sqrt(Add(ReduceMean(Mul(Sub(x,ReduceMean(x)),Sub(x,ReduceMean("
    "x)))),1e-5))))",
    "Mul(Mul(x,Reciprocal(Sqrt(Add(1e-6,ReduceMean(Pow(x,2)))))),w)",
    "Mul(w,Mul(x,Div(1,Sqrt(Add(ReduceMean(Mul(x,x)),1e-6)))))",
    "PReLU(x,0.3)",
};
enum { N_FORMULAS = sizeof formulas / sizeof *formulas, N_SIMPLE = 13 };

/* A formula on its way into a graph. A call that it has twice is one call, or two. */
typedef struct maker {
    instance *it;
    const char *at;
    shape of;
    bool shares;
    nnf_value x, mean, centred;
    int n_read; /* of x */
} maker;

static nnf_value make_term(maker *m);

static nnf_value make_number(maker *m) {
    instance *it = m->it;
    double number = strtod(m->at, (char **)&m->at);
    if (*m->at == '!') m->at++;
    if (m->at[-1] == '!' && breaks(it, "another number")) number *= 1.01;
    shape of = {0, {0}};
    of.ndim = breaks(it, "a constant of higher rank") ? m->of.ndim + 1
                                                      : (int)pick(&it->seed, 0, m->of.ndim);
    for (int i = 0; i < of.ndim; i++)
        of.dims[i] = 1;
    if (breaks(it, "a constant that is an input")) return more_input(it, of.ndim, of.dims, false);
    return random_constant(it, of.ndim, of.dims, number, number);
}

static nnf_module *step_of(maker *m, const char *type) {
    static const char *const binaries[] = {"Add", "Sub", "Mul", "Div", "Pow"};
    nnf_module *module;
    for (int kind = NNF_ADD; kind <= NNF_POW; kind++)
        if (!strcmp(type, binaries[kind])) {
            assert_ok(nnf_binary_new(&module, (nnf_binary)kind));
            return module;
        }
    if (!strcmp(type, "PReLU")) {
        assert_ok(nnf_binary_new(&module, NNF_PRELU));
        return module;
    }
    if (!strcmp(type, "ReduceMean")) {
        nnf_axes_options options = {.n_axes = 1, .keepdims = true};
        options.axes[0] = chance(&m->it->seed, 2) ? -1 : m->of.ndim - 1;
        if (breaks(m->it, "another axis")) options.axes[0] = 0;
        assert_ok(nnf_module_new(&module, nnf_type(type), &options));
        return module;
    }
    for (int kind = NNF_RELU; kind < NNF_ACTIVATION_COUNT; kind++) {
        assert_ok(nnf_activation_new(&module, (nnf_activation)kind));
        if (!strcmp(nnf_module_type_name(module), type)) return module;
        nnf_module_release(module);
    }
    fail_msg("no type %s", type);
    return NULL;
}

static nnf_value make_call(maker *m) {
    instance *it = m->it;
    const char *start = m->at;
    char type[32];
    nnf_value inputs[8];
    size_t n = strcspn(start, "("), count = 0;
    snprintf(type, sizeof type, "%.*s", (int)n, start);
    nnf_value *known = !strncmp(start, "ReduceMean(x)", 13)          ? &m->mean
                       : !strncmp(start, "Sub(x,ReduceMean(x))", 20) ? &m->centred
                                                                     : NULL;
    for (m->at += n; *m->at != ')';) {
        m->at++;
        inputs[count++] = make_term(m);
    }
    m->at++;
    if (known && *known != NNF_NO_VALUE && m->shares) return *known;
    if (count == 2 && (!strcmp(type, "Add") || !strcmp(type, "Mul")) && chance(&it->seed, 2)) {
        nnf_value first = inputs[0];
        inputs[0] = inputs[1];
        inputs[1] = first;
    }
    nnf_value y = add(it, step_of(m, type), inputs, count);
    it->n_fusing++;
    if (it->n_between < MOST_BETWEEN) it->between[it->n_between++] = y;
    if (known) *known = y;
    return y;
}

static nnf_value make_term(maker *m) {
    if (isdigit((unsigned char)*m->at) || *m->at == '-') return make_number(m);
    if (isupper((unsigned char)*m->at)) return make_call(m);
    const char name = *m->at++;
    const int64_t n = m->of.dims[m->of.ndim - 1];
    if (name != 'x') return random_constant(m->it, 1, &n, 0.5, 1.5);
    if (++m->n_read == 2 && breaks(m->it, "another input")) return add_aside(m->it, m->x);
    return m->x;
}

/* Whether a formula has what is to be broken. */
static bool has_condition(const instance *it, const char *formula) {
    static const char *const conditions[][2] = {{"another axis", "ReduceMean"},
                                                {"another number", "!"},
                                                {"a constant that is an input", "0.5"},
                                                {"a constant of higher rank", "0.5"}};
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++)
        if (!strcmp(it->miss, conditions[i][0])) return strstr(formula, conditions[i][1]);
    /* what is divided may be any centred value, as an RMSNorm's */
    return strcmp(it->miss, "another input") != 0 || !strstr(formula, "ReduceMean(x)");
}

static void layer_of_parts(instance *it) {
    int64_t dims[] = {2, pick(&it->seed, 2, 5), pick(&it->seed, 2, 5), 4};
    const char *formula = formulas[it->seed / 7919 % N_FORMULAS];
    if (it->miss) do
            formula = formulas[pick(&it->seed, 0, N_SIMPLE - 1)];
        while (!has_condition(it, formula));
    if (it->dtype == NNF_F16) it->dtype = NNF_F32;
    start(it, (int)pick(&it->seed, 2, 4), dims, chance(&it->seed, 3));
    maker m = {.it = it,
               .at = formula,
               .of = shape_of(it, it->x),
               .shares = chance(&it->seed, 2),
               .x = it->x,
               .mean = NNF_NO_VALUE,
               .centred = NNF_NO_VALUE};
    it->x = make_term(&m);
    it->n_between -= it->n_between && it->between[it->n_between - 1] == it->x;
}

/* x W + b of rank 3 or 4, whose steps a file keeps. */
static void linear_of_parts(instance *it) {
    const bool flat = breaks(it, "rank 2");
    int64_t dims[] = {2, pick(&it->seed, 2, 5), pick(&it->seed, 2, 5), 4};
    const int ndim = flat ? 2 : (int)pick(&it->seed, 3, 4);
    start(it, ndim, dims, chance(&it->seed, 3));
    int64_t matrix[] = {dims[ndim - 1], pick(&it->seed, 2, 5)};
    nnf_module *matmul;
    assert_ok(nnf_matmul_new(&matmul));
    if (breaks(it, "a matrix that is an input")) {
        then_with(it, matmul, more_input(it, 2, matrix, false), false);
    } else {
        nnf_value weight = random_constant(it, 2, matrix, -1, 1);
        nnf_tensor *tensor = nnf_graph_value_constant(it->graph, weight);
        assert_ok(nnf_module_set_parameter(matmul, "weight", tensor));
        then_with(it, matmul, weight, false);
    }
    int64_t bias[] = {1, 1, matrix[1]}; /* of rank 1 */
    if (breaks(it, "one number")) bias[2] = 1;
    const bool deep = breaks(it, "a bias of rank 3"), given = breaks(it, "a bias that is an input");
    const int rank = deep ? 3 : 1;
    nnf_value added = given ? more_input(it, rank, bias + 3 - rank, false)
                            : random_constant(it, rank, bias + 3 - rank, -1, 1);
    then_with(it, new_add(), added, chance(&it->seed, 2));
}

static const fusion_row rows[] = {
    {"Linear",
     linear_of_parts,
     {"rank 2", "a matrix that is an input", "one number", "a bias of rank 3",
      "a bias that is an input"},
     "patterns"},
    {"patterns",
     layer_of_parts,
     {"another number", "another input", "another axis", "a constant that is an input",
      "a constant of higher rank"},
     NULL},
};

int main(void) {
    return check_rows(rows, sizeof rows / sizeof *rows);
}
