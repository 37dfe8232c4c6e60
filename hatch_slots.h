/* Reads an attribute that lies in a slot of its object, as every field of a msgspec.Struct does,
 * from where it lay the last time that an object of the class was asked for it.
 *
 * Python's interpreter does the same (`LOAD_ATTR_SLOT`). Cython asks the class each time, and that
 * was a sixth of the instructions of a decision. `hatch_build.py` puts this into each module, in
 * front of the function with which Cython reads attributes.
 *
 * Python gives a class another version whenever it changes, and no two classes the same one.
 */
#include <structmember.h>

#ifdef Py_GIL_DISABLED  /* threads would write here side by side */
#define slot_or_attribute(type, object, name) (type)->tp_getattro(object, name)
#else

#define SLOTS_KNOWN 512

typedef struct {
    PyObject *name;
    unsigned int version;
    Py_ssize_t offset;
} KnownSlot;

static KnownSlot known_slots[SLOTS_KNOWN];

/* Asks the class where the attribute lies; 0: in no slot. */
static Py_ssize_t slot_of(PyTypeObject *type, PyObject *name) {
    PyObject *found = _PyType_Lookup(type, name);
    if (found && Py_TYPE(found) == &PyMemberDescr_Type) {
        PyTypeObject *owner = ((PyMemberDescrObject *)found)->d_common.d_type;
        struct PyMemberDef *member = ((PyMemberDescrObject *)found)->d_member;
        if (member->type == T_OBJECT_EX && !(member->flags & ~READONLY)
                && PyType_IsSubtype(type, owner))
            return member->offset;
    }
    return 0;
}

static inline PyObject *slot_or_attribute(PyTypeObject *type, PyObject *object, PyObject *name) {
    if (type->tp_getattro == PyObject_GenericGetAttr) {
        size_t place = ((size_t)name >> 4) + type->tp_version_tag * 61u;
        KnownSlot *known = &known_slots[place % SLOTS_KNOWN];
        if (known->name != name || known->version != type->tp_version_tag || !known->version) {
            known->offset = slot_of(type, name);  /* this may give the class its version */
            known->version = type->tp_version_tag;
            known->name = name;
        }
        if (known->offset != 0) {
            PyObject *value = *(PyObject **)((char *)object + known->offset);
            if (value != NULL) {  /* else it was deleted: AttributeError */
                Py_INCREF(value);
                return value;
            }
        }
    }
    return type->tp_getattro(object, name);
}
#endif
