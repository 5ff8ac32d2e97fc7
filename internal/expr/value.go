package expr

import (
	"encoding/json"
	"fmt"
	"reflect"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// valueOf converts JSON text to what expressions compute with. Objects and
// lists keep their text and are taken apart when an expression looks inside.
func valueOf(text []byte) ref.Val {
	text = trim(text)
	if len(text) == 0 {
		return types.NullValue
	}
	switch text[0] {
	case '{':
		return &object{text: text}
	case '[':
		return &list{text: text}
	case '"':
		return types.String(decodeString(text))
	case 't':
		return types.True
	case 'f':
		return types.False
	case 'n':
		return types.NullValue
	}
	return numberValue(text)
}

// adapter makes JSON text usable where the interpreter meets it; the rest it
// leaves to the default.
type adapter struct{ types.Adapter }

// NativeToValue converts value to one of the interpreter's.
func (a adapter) NativeToValue(value any) ref.Val {
	if text, ok := value.(json.RawMessage); ok {
		return valueOf(text)
	}
	return a.Adapter.NativeToValue(value)
}

func defaultAdapter() types.Adapter { return adapter{types.DefaultTypeAdapter} }

// element is one element of an object, converted at most once.
type element struct {
	key   string
	text  []byte
	value ref.Val
}

func (e *element) val() ref.Val {
	if e.value == nil {
		e.value = valueOf(e.text)
	}
	return e.value
}

// indexAbove is the number of members from which an object is indexed by a map.
const indexAbove = 12

// object is a JSON object. It belongs to one evaluation.
type object struct {
	text     []byte
	parsed   bool
	elements []element
	index    map[string]int
}

func (o *object) parse() {
	if o.parsed {
		return
	}
	o.parsed = true
	members(o.text, func(m member) bool {
		key := m.key()
		if at := o.find(key); at >= 0 {
			o.elements[at].text = m.text // of equal keys the last one counts
			return true
		}
		o.elements = append(o.elements, element{key: key, text: m.text})
		switch {
		case o.index != nil:
			o.index[key] = len(o.elements) - 1
		case len(o.elements) > indexAbove:
			o.index = make(map[string]int, 4*indexAbove)
			for i := range o.elements {
				o.index[o.elements[i].key] = i
			}
		}
		return true
	})
}

func (o *object) find(key string) int {
	if o.index != nil {
		if at, ok := o.index[key]; ok {
			return at
		}
		return -1
	}
	for i := range o.elements {
		if o.elements[i].key == key {
			return i
		}
	}
	return -1
}

// FindStringKey is the short way to a member that the interpreter takes for
// constant keys.
func (o *object) FindStringKey(key string) (any, bool) {
	value, found := o.member(key)
	return value, found
}

func (o *object) member(key string) (ref.Val, bool) {
	o.parse()
	if at := o.find(key); at >= 0 {
		return o.elements[at].val(), true
	}
	return nil, false
}

// Find returns the member of the given key.
func (o *object) Find(key ref.Val) (ref.Val, bool) {
	if name, ok := key.(types.String); ok {
		return o.member(string(name))
	}
	if types.IsUnknownOrError(key) {
		return key, false
	}
	return nil, false
}

// Contains reports whether there is a member of the given key.
func (o *object) Contains(key ref.Val) ref.Val {
	value, found := o.Find(key)
	if !found && value != nil {
		return value
	}
	return types.Bool(found)
}

// Get returns the member of the given key or an error.
func (o *object) Get(key ref.Val) ref.Val {
	value, found := o.Find(key)
	if !found {
		return types.ValOrErr(value, "no such key: %v", key)
	}
	return value
}

// Iterator walks the keys in their order in the text.
func (o *object) Iterator() traits.Iterator {
	o.parse()
	keys := make([]string, len(o.elements))
	for i := range o.elements {
		keys[i] = o.elements[i].key
	}
	return types.NewStringList(defaultAdapter(), keys).Iterator()
}

// Size returns the number of members.
func (o *object) Size() ref.Val {
	o.parse()
	return types.Int(len(o.elements))
}

// IsZeroValue reports whether there are no members.
func (o *object) IsZeroValue() bool { return o.Size() == types.IntZero }

// ConvertToNative is an error: nothing asks for objects in Go's own types.
func (o *object) ConvertToNative(desc reflect.Type) (any, error) {
	return nil, fmt.Errorf("convert object to %s: not supported", desc)
}

// ConvertToType converts to a map, which it is, or to its type.
func (o *object) ConvertToType(target ref.Type) ref.Val {
	return convert(o, types.MapType, target)
}

// convert converts value, which is of type own, to that type or to the type
// itself.
func convert(value ref.Val, own *types.Type, target ref.Type) ref.Val {
	switch target {
	case own:
		return value
	case types.TypeType:
		return own
	}
	return types.NewErr("type conversion error from '%s' to '%s'", own, target)
}

// Equal compares members, whatever their order.
func (o *object) Equal(other ref.Val) ref.Val {
	that, ok := other.(traits.Mapper)
	if !ok || o.Size() != that.Size() {
		return types.False
	}
	for i := range o.elements {
		value, found := that.Find(types.String(o.elements[i].key))
		if !found {
			return types.False
		}
		if equal := types.Equal(o.elements[i].val(), value); equal != types.True {
			return equal
		}
	}
	return types.True
}

// Type is map.
func (o *object) Type() ref.Type { return types.MapType }

// Value returns the JSON text.
func (o *object) Value() any { return json.RawMessage(o.text) }

// list is a JSON array. It belongs to one evaluation.
type list struct {
	text   []byte
	lister traits.Lister // its elements, once an expression looks inside
}

func (l *list) values() traits.Lister {
	if l.lister == nil {
		var values []ref.Val
		members(l.text, func(m member) bool {
			values = append(values, valueOf(m.text))
			return true
		})
		l.lister = types.NewRefValList(defaultAdapter(), values)
	}
	return l.lister
}

// Add returns the elements of both lists.
func (l *list) Add(other ref.Val) ref.Val { return l.values().Add(other) }

// Contains reports whether an element equals value.
func (l *list) Contains(value ref.Val) ref.Val { return l.values().Contains(value) }

// Get returns the element of the given index or an error.
func (l *list) Get(index ref.Val) ref.Val { return l.values().Get(index) }

// Iterator walks the elements.
func (l *list) Iterator() traits.Iterator { return l.values().Iterator() }

// Size returns the number of elements.
func (l *list) Size() ref.Val { return l.values().Size() }

// IsZeroValue reports whether there are no elements.
func (l *list) IsZeroValue() bool { return l.Size() == types.IntZero }

// ConvertToNative serves functions that want Go's own types.
func (l *list) ConvertToNative(desc reflect.Type) (any, error) {
	return l.values().ConvertToNative(desc)
}

// ConvertToType converts to a list, which it is, or to its type.
func (l *list) ConvertToType(target ref.Type) ref.Val {
	return convert(l, types.ListType, target)
}

// Equal compares element by element.
func (l *list) Equal(other ref.Val) ref.Val { return l.values().Equal(other) }

// Type is list.
func (l *list) Type() ref.Type { return types.ListType }

// Value returns the elements: functions that slice and reverse lists cut what
// this returns.
func (l *list) Value() any { return l.values().Value() }
