/* Cleaning, from the inside. One pass over the calls, in execution order, finds out what every
 * value is: the same as an earlier one, a constant, or something new. Readers are led past what is
 * not new, and at the end the calls that nobody reads go. Until then the graph is only read; the
 * steps that change it cannot fail. */
#ifndef NNFI_CLEAN_INTERNAL_H
#define NNFI_CLEAN_INTERNAL_H

#include "module/known.h"
#include "module/pointers.h"
#include "nnfuse/clean.h"
#include "nnfuse/session.h"
#include "support/hash.h"
#include "support/index.h"

/* Constants of at most this size are shared where they are equal, and computed even where that
 * makes the file larger. A larger one is computed only in the place of constants of at least its
 * size that nothing else reads. */
#define NNFI_SMALL_BYTES 4096
/* How many bytes of constants one call of nnf_clean computes at most: they stay in memory. */
#define NNFI_COMPUTED_BYTES (INT64_C(64) << 20)

/* Why a call is not needed any more. */
typedef enum nnfi_outcome {
    NNFI_STAYS = 0,
    NNFI_CONSTANT,
    NNFI_COMPUTED,
    NNFI_REMOVED,
    NNFI_MERGED,
    NNFI_N_OUTCOMES
} nnfi_outcome;

/* What is found out of a value. */
typedef struct nnfi_clean_value {
    nnf_value same;       /* the value that is read in its place; its own number: itself */
    nnf_value renamed;    /* the graph output whose name it takes, NNF_NO_VALUE: none */
    int32_t producer;     /* call, -1: none */
    bool captured;        /* named from inside of a node, so that its name has to stay */
    bool needed;          /* at the end: somebody reads it */
    bool promised;        /* it will be computed: a large constant was that only it reads */
    size_t readers;       /* inputs, captures and graph outputs, those of its equals among them */
    nnf_tensor *constant; /* what it is in every run, retained; NULL: that is not known */
} nnfi_clean_value;

typedef struct nnfi_clean_rule nnfi_clean_rule;

/* What goes for all modules of a type. */
typedef struct nnfi_clean_type {
    bool built_in;
    const nnfi_clean_rule *rule; /* NULL: none */
} nnfi_clean_type;

typedef struct nnfi_cleaner {
    nnf_module *module;
    nnfi_graph *graph;
    nnfi_clean_value *values; /* [n_values], and room for new ones */
    size_t n_given, n_calls;  /* values and calls that the graph had */
    nnfi_known infos;         /* of values, inferred from the graph's inputs alone: what a file says
                                 of the values between may be wrong */
    size_t *first_input;      /* [n_calls]: into inputs */
    nnf_value *inputs;        /* what each call reads now */
    uint8_t *outcomes;        /* [n_calls]: nnfi_outcome */
    bool *shared; /* [n_calls]: other calls have its module, which may have to change, too */
    nnf_module **instead;     /* [n_calls]: what comes in the place of its module, NULL: nothing */
    nnfi_pointers type_index; /* from a type to its number in types */
    nnfi_clean_type *types;
    size_t n_types, types_capacity;
    nnfi_uses uses;       /* found when somebody asks for the first time */
    nnfi_index constants; /* values */
    nnfi_index calls;
    nnf_session *session; /* NULL until something has to be computed */
    int64_t computed;     /* bytes */
    int64_t promised;     /* bytes more, for what reads large results that were computed for that */
    const nnf_type_info **input_infos; /* of the call at work, with room for the longest list */
    nnf_tensor **input_tensors;
    nnf_type_info *output_infos;
} nnfi_cleaner;

/* The call at work. */
typedef struct nnfi_clean_call {
    size_t index;
    const nnfi_call *call;
    const void *options; /* of its module */
    const nnfi_clean_rule *rule;
    const nnf_value *inputs;           /* as they are read now */
    const nnf_type_info *const *infos; /* of the inputs; NULL where one is left out */
    const nnf_type_info *output;       /* of the first output */
} nnfi_clean_call;

/* Something that is looked for among what is like it: a value or a call. */
typedef struct nnfi_clean_wanted {
    const nnfi_cleaner *cleaner;
    size_t number;
} nnfi_clean_wanted;
/* The number in the index that is equal to the wanted one, or that itself, which is then put in;
 * the index has room. */
size_t nnfi_clean_find_equal(nnfi_index *index, uint64_t hash, nnfi_index_is is,
                             const nnfi_clean_wanted *wanted);

/* ---- rules.c: one row for each type ---- */

struct nnfi_clean_rule {
    const char *type;
    bool reshapes; /* its result is its input's elements under another shape */
    /* Each may be NULL. */
    /* The value that its output is equal to, element by element; NNF_NO_VALUE: none. */
    nnf_value (*same_as)(const nnfi_cleaner *cleaner, const nnfi_clean_call *call);
    /* Its result on a constant, as another view of the same elements; NULL in *out: there is
     * none. */
    nnf_status (*view)(nnf_tensor **out, const nnfi_clean_call *call, const nnf_tensor *x);
    /* A constant that the call may read instead of its second input; NULL in *out: none. */
    nnf_status (*second_input)(nnf_tensor **out, const nnfi_clean_call *call);
    /* An earlier value that it may read as its first input; NNF_NO_VALUE: none. */
    nnf_value (*first_input)(const nnfi_cleaner *cleaner, const nnfi_clean_call *call);
};
const nnfi_clean_rule *nnfi_clean_rule_of(const char *type);

/* ---- constants.c ---- */

/* The call's result where it is the same in every run and small enough; NULL in *out: it is not. */
nnf_status nnfi_clean_constant(nnf_tensor **out, nnfi_cleaner *cleaner,
                               const nnfi_clean_call *call);
/* Notes that a value is a constant (takes the reference), and finds its equal. */
nnf_status nnfi_clean_set_constant(nnfi_cleaner *cleaner, nnf_value value, nnf_tensor *tensor);

/* ---- merge.c ---- */

/* Leads the readers of the call's outputs to an earlier call that computes the same. */
void nnfi_clean_merge(nnfi_cleaner *cleaner, const nnfi_clean_call *call);
/* Whether the tensor that the module holds in the slot of input `index` is the constant that the
 * call has there. */
bool nnfi_clean_holds_input(const nnfi_cleaner *cleaner, const nnfi_call *call, size_t index);

/* ---- clean.c ---- */

/* What a call that was visited reads as its first input; NNF_NO_VALUE where it is given none, as in
 * files that no runtime takes. */
nnf_value nnfi_clean_data_of(const nnfi_cleaner *cleaner, size_t call);

/* Whether the module is what its type says and nothing else. */
bool nnfi_clean_is_bare(const nnf_module *module);

/* Whether readers of the call's only output may read `same` instead, which takes its name where it
 * is one of the graph's outputs. */
bool nnfi_clean_may_pass_on(const nnfi_cleaner *cleaner, const nnfi_clean_call *at, nnf_value same);

/* ---- reductions.c ---- */

/* Whether the module may be one whose axes are dropped. */
bool nnfi_clean_is_reduction(const nnf_module *module);
/* *dropped: the call only drops axes that a reduction keeps for it, and that one gives what the
 * call would, as cleaner->instead says. */
nnf_status nnfi_clean_drop_axes(nnfi_cleaner *cleaner, const nnfi_clean_call *at, bool *dropped);

/* ---- slices.c ---- */

/* Makes a Slice of another's result read that one's input and do both, if they cut different axes.
 */
nnf_status nnfi_clean_join_slices(nnfi_cleaner *cleaner, const nnfi_clean_call *call);
/* How many values that adds at most. */
size_t nnfi_clean_new_values(const nnfi_graph *graph);

/* ---- sweep.c ---- */

/* Whether running a node may do more than give its outputs. */
bool nnfi_clean_may_act(const nnf_module *module);

/* Takes out what is not needed and makes the rest read what was found. */
nnf_status nnfi_clean_sweep(nnfi_cleaner *cleaner, nnf_clean_report *report);

#endif
