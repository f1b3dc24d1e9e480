/* Hooks. A hook is an object of its own, so that its handle stays good wherever the hook moves. */
#include <string.h>

#include "module/object.h"

struct nnf_hook {
    atomic_size_t references;
    nnf_module *holder; /* the module whose list it is in; NULL: removed, or the module is gone */
    nnf_forward_pre_hook before; /* exactly one of the two is set */
    nnf_forward_hook after;
    void *payload;
};

/* The list that a hook of the kind goes to; NULL: out of memory. */
static nnfi_hooks *list_for(nnf_module *module, const nnf_hook *hook) {
    nnfi_more *more = nnfi_more_new(module);
    if (!more) return NULL;
    return hook->before ? &more->pre_hooks : &more->forward_hooks;
}

void nnf_hook_release(nnf_hook *hook) {
    if (!hook) return;
    if (atomic_fetch_sub_explicit(&hook->references, 1, memory_order_acq_rel) == 1) nnfi_free(hook);
}

static nnf_hook *hook_retain(nnf_hook *hook) {
    atomic_fetch_add_explicit(&hook->references, 1, memory_order_relaxed);
    return hook;
}

/* `hooks` NULL: memory was short already. */
static nnf_status reserve(nnfi_hooks *hooks, size_t more) {
    if (hooks &&
        nnfi_reserve(&hooks->items, &hooks->capacity, hooks->n + more, sizeof *hooks->items))
        return NNF_OK;
    return nnfi_error_memory(more * sizeof *hooks->items, "a module's hooks");
}

/* Registers a hook like `model`. */
static nnf_status add_hook(nnf_hook **handle, nnf_module *module, const nnf_hook *model) {
    nnfi_hooks *hooks = list_for(module, model);
    NNFI_TRY(reserve(hooks, 1));
    nnf_hook *hook = nnfi_alloc(sizeof *hook);
    if (!hook) return nnfi_error_memory(sizeof *hook, "a hook");
    atomic_init(&hook->references, 1);
    hook->holder = module;
    hook->before = model->before;
    hook->after = model->after;
    hook->payload = model->payload;
    hooks->items[hooks->n++] = hook;
    if (handle) *handle = hook_retain(hook);
    return NNF_OK;
}

nnf_status nnf_module_register_forward_pre_hook(nnf_hook **handle, nnf_module *module,
                                                nnf_forward_pre_hook hook, void *payload) {
    if (!module || !hook)
        return nnf_error(NNF_ERROR_INVALID, "a hook needs a module and a function");
    const nnf_hook model = {.before = hook, .payload = payload};
    return add_hook(handle, module, &model);
}

nnf_status nnf_module_register_forward_hook(nnf_hook **handle, nnf_module *module,
                                            nnf_forward_hook hook, void *payload) {
    if (!module || !hook)
        return nnf_error(NNF_ERROR_INVALID, "a hook needs a module and a function");
    const nnf_hook model = {.after = hook, .payload = payload};
    return add_hook(handle, module, &model);
}

void nnf_hook_remove(nnf_hook *hook) {
    if (!hook || !hook->holder) return;
    nnfi_hooks *hooks = list_for(hook->holder, hook);
    size_t i = 0;
    while (hooks->items[i] != hook)
        i++;
    memmove(&hooks->items[i], &hooks->items[i + 1], (hooks->n - i - 1) * sizeof *hooks->items);
    hooks->n--;
    hook->holder = NULL;
    nnf_hook_release(hook);
}

size_t nnf_module_n_forward_pre_hooks(const nnf_module *module) {
    return module ? nnfi_more_of(module)->pre_hooks.n : 0;
}

size_t nnf_module_n_forward_hooks(const nnf_module *module) {
    return module ? nnfi_more_of(module)->forward_hooks.n : 0;
}

void nnfi_hooks_clear(nnfi_hooks *hooks) {
    for (size_t i = 0; i < hooks->n; i++) {
        hooks->items[i]->holder = NULL;
        nnf_hook_release(hooks->items[i]);
    }
    nnfi_free(hooks->items);
    *hooks = (nnfi_hooks){0};
}

static nnf_status copy_list(nnf_module *to, const nnfi_hooks *from) {
    for (size_t i = 0; i < from->n; i++)
        NNFI_TRY(add_hook(NULL, to, from->items[i]));
    return NNF_OK;
}

nnf_status nnfi_hooks_copy(nnf_module *to, const nnf_module *from) {
    NNFI_TRY(copy_list(to, &nnfi_more_of(from)->pre_hooks));
    return copy_list(to, &nnfi_more_of(from)->forward_hooks);
}

nnf_status nnfi_module_reserve_hooks(nnf_module *to, size_t n_pre, size_t n_forward) {
    if (n_pre + n_forward == 0) return NNF_OK;
    nnfi_more *more = nnfi_more_new(to);
    NNFI_TRY(reserve(more ? &more->pre_hooks : NULL, n_pre));
    return reserve(&more->forward_hooks, n_forward);
}

/* Room was reserved. */
static void move_list(nnf_module *holder, nnfi_hooks *to, nnfi_hooks *from) {
    for (size_t i = 0; i < from->n; i++) {
        from->items[i]->holder = holder;
        to->items[to->n++] = from->items[i];
    }
    from->n = 0;
}

void nnfi_module_move_pre_hooks(nnf_module *to, nnf_module *from) {
    if (nnf_module_n_forward_pre_hooks(from) > 0)
        move_list(to, &to->more->pre_hooks, &from->more->pre_hooks);
}

void nnfi_module_move_forward_hooks(nnf_module *to, nnf_module *from) {
    if (nnf_module_n_forward_hooks(from) > 0)
        move_list(to, &to->more->forward_hooks, &from->more->forward_hooks);
}

nnf_status nnfi_hooks_save(nnfi_saved_hooks *out, nnf_module *module) {
    const nnfi_more *more = nnfi_more_of(module);
    const nnfi_hooks *lists[2] = {&more->pre_hooks, &more->forward_hooks};
    size_t n = lists[0]->n + lists[1]->n;
    *out = (nnfi_saved_hooks){.module = module, .hooks = nnfi_alloc(n * sizeof(nnf_hook *))};
    if (!out->hooks) return nnfi_error_memory(n * sizeof(nnf_hook *), "a module's hooks");
    for (size_t kind = 0; kind < 2; kind++)
        for (size_t i = 0; i < lists[kind]->n; i++)
            out->hooks[out->n++] = hook_retain(lists[kind]->items[i]);
    return NNF_OK;
}

/* The module's own lists had room for these hooks before, and lists do not shrink. */
void nnfi_hooks_restore(nnfi_saved_hooks *saved) {
    for (size_t i = 0; i < saved->n; i++)
        nnf_hook_remove(saved->hooks[i]);
    for (size_t i = 0; i < saved->n; i++) {
        nnfi_hooks *list = list_for(saved->module, saved->hooks[i]);
        saved->hooks[i]->holder = saved->module;
        list->items[list->n++] = hook_retain(saved->hooks[i]);
    }
}

void nnfi_saved_hooks_clear(nnfi_saved_hooks *saved) {
    for (size_t i = 0; i < saved->n; i++)
        nnf_hook_release(saved->hooks[i]);
    nnfi_free(saved->hooks);
    *saved = (nnfi_saved_hooks){0};
}

/* ---- Running them ---- */

/* What the hooks of one kind get. */
typedef struct hook_call {
    nnf_module *module;
    nnf_tensor **given; /* to a pre-forward hook */
    nnf_tensor *const *inputs;
    size_t n_inputs;
    nnf_tensor **outputs;
    size_t n_outputs;
} hook_call;

static nnf_status run_hook(const nnf_hook *hook, const hook_call *call) {
    if (hook->before) return hook->before(call->module, call->given, call->n_inputs, hook->payload);
    return hook->after(call->module, call->inputs, call->n_inputs, call->outputs, call->n_outputs,
                       hook->payload);
}

/* Runs those that are registered now, whatever the hooks remove meanwhile: as PyTorch does. */
static nnf_status run_hooks(const nnfi_hooks *hooks, const hook_call *call) {
    size_t n = hooks->n;
    if (n == 0) return NNF_OK;
    nnf_hook **now = nnfi_alloc(n * sizeof(nnf_hook *));
    if (!now) return nnfi_error_memory(n * sizeof(nnf_hook *), "the hooks to run");
    for (size_t i = 0; i < n; i++)
        now[i] = hook_retain(hooks->items[i]);
    nnf_status status = NNF_OK;
    for (size_t i = 0; i < n && status == NNF_OK; i++)
        status = run_hook(now[i], call);
    for (size_t i = 0; i < n; i++)
        nnf_hook_release(now[i]);
    nnfi_free(now);
    return status;
}

nnf_status nnfi_module_run_pre_hooks(nnf_module *module, nnf_tensor **inputs, size_t n_inputs) {
    const hook_call call = {.module = module, .given = inputs, .n_inputs = n_inputs};
    return run_hooks(&nnfi_more_of(module)->pre_hooks, &call);
}

nnf_status nnfi_module_run_forward_hooks(nnf_module *module, nnf_tensor *const *inputs,
                                         size_t n_inputs, nnf_tensor **outputs, size_t n_outputs) {
    const hook_call call = {.module = module,
                            .inputs = inputs,
                            .n_inputs = n_inputs,
                            .outputs = outputs,
                            .n_outputs = n_outputs};
    return run_hooks(&nnfi_more_of(module)->forward_hooks, &call);
}
