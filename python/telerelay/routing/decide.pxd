# What the compiled decision keeps without a dictionary; decide.py says what it means.
cdef class Request:
    cdef readonly bytes organisation, client, computer
    cdef readonly str service

cdef class Deny:
    cdef readonly str code

cdef class Here:
    cdef readonly bytes agent
