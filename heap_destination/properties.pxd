# What Cython may know of properties.py where it is compiled: the class is C's, and so are its
# attributes. That saves a quarter of its time. Python, and who compiles nothing, do not read this.

cdef class _Flattening:
    cdef readonly object path
    cdef readonly list notes
    cdef readonly dict flat
    cdef readonly dict depths

    cpdef add(self, value, prefix, int depth)
    cpdef _value(self, value, key, int depth)
    cpdef _scalar(self, value, key, int depth)
    cpdef _array(self, values, key, int depth)
    cpdef _joined(self, items, given, key)
    cpdef _items(self, values, key)
    cpdef _container(self, value, key, int depth)
    cpdef _text(self, key, text)
    cpdef _keep(self, key, value, int depth)
    cpdef _note(self, code, key, detail)
