// Renders templates with Go's own text/template, to compare with.
//
// Each line of the input is a JSON object {"text": ..., "data": ...}; each line of the output is
// {"output": ...} or {"error": ...}.
//
// Data is converted thus:
//   - integers are int, other numbers float64
//   - a list of strings is a []string, any other list a []any; neither has spare capacity
//   - an object is a map[string]any; at the top, those named Vars, UserVars, EnvMap, Versions and
//     BaseDomain whose values are all strings are map[string]string
//   - {"$strings": {...}} is a map[string]string anywhere
//   - {"$time": "2006-01-02T15:04:05Z"} is a time.Time
//   - {"$struct": [["Name", value], ...]} is a pointer to a struct; null is a nil pointer there
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"text/template"
	"time"
	"unicode/utf8"
)

var now = time.Date(2024, time.March, 5, 7, 8, 9, 123456000, time.UTC)

type request struct {
	Text string          `json:"text"`
	Data json.RawMessage `json:"data"`
}

type answer struct {
	Output *string `json:"output,omitempty"`
	Error  string  `json:"error,omitempty"`
}

func main() {
	in := bufio.NewReader(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for {
		line, err := in.ReadString('\n')
		if line == "" || err != nil {
			return
		}
		var asked request
		if err := json.Unmarshal([]byte(line), &asked); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		encoder.Encode(respond(asked))
		out.Flush()
	}
}

func respond(asked request) (given answer) {
	defer func() {
		if problem := recover(); problem != nil {
			given = answer{Error: fmt.Sprint(problem)}
		}
	}()
	data := topLevel(decode(asked.Data))
	parsed, err := template.New("template").Funcs(functions(data)).Parse(asked.Text)
	if err != nil {
		return answer{Error: err.Error()}
	}
	var rendered strings.Builder
	if err := parsed.Execute(&rendered, data); err != nil {
		return answer{Error: err.Error()}
	}
	text := rendered.String()
	if !utf8.ValidString(text) {
		return answer{Error: "the output is not valid UTF-8"}
	}
	return answer{Output: &text}
}

func decode(raw json.RawMessage) any {
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber()
	var value any
	if len(raw) > 0 {
		if err := decoder.Decode(&value); err != nil {
			panic(err)
		}
	}
	return convert(value)
}

func convert(value any) any {
	switch value := value.(type) {
	case json.Number:
		if integer, err := value.Int64(); err == nil {
			return int(integer)
		}
		number, _ := value.Float64()
		return number
	case []any:
		return convertList(value)
	case map[string]any:
		return convertObject(value)
	}
	return value
}

func convertList(values []any) any {
	texts := make([]string, 0, len(values))
	for i := range values {
		if text, ok := values[i].(string); ok {
			texts = append(texts, text)
		}
		values[i] = convert(values[i])
	}
	if len(texts) == len(values) {
		return texts[:len(texts):len(texts)]
	}
	return values[:len(values):len(values)]
}

func convertObject(object map[string]any) any {
	if moment, ok := object["$time"]; ok {
		parsed, err := time.Parse(time.RFC3339Nano, moment.(string))
		if err != nil {
			panic(err)
		}
		return parsed
	}
	if entries, ok := object["$strings"]; ok {
		found, _ := stringMap(entries.(map[string]any))
		return found
	}
	if fields, ok := object["$struct"]; ok {
		return convertStruct(fields.([]any))
	}
	for name, value := range object {
		object[name] = convert(value)
	}
	return object
}

func convertStruct(pairs []any) any {
	fields := make([]reflect.StructField, len(pairs))
	values := make([]reflect.Value, len(pairs))
	for i, each := range pairs {
		pair := each.([]any)
		value := convert(pair[1])
		if value == nil {
			value = (*struct{})(nil)
		}
		values[i] = reflect.ValueOf(value)
		fields[i] = reflect.StructField{Name: pair[0].(string), Type: values[i].Type()}
	}
	made := reflect.New(reflect.StructOf(fields))
	for i, value := range values {
		made.Elem().Field(i).Set(value)
	}
	return made.Interface()
}

func topLevel(data any) any {
	object, ok := data.(map[string]any)
	if !ok {
		return data
	}
	for _, name := range []string{"Vars", "UserVars", "EnvMap", "Versions", "BaseDomain"} {
		if entries, ok := object[name].(map[string]any); ok {
			if found, ok := stringMap(entries); ok {
				object[name] = found
			}
		}
	}
	return object
}

func stringMap(entries map[string]any) (map[string]string, bool) {
	found := make(map[string]string, len(entries))
	for key, value := range entries {
		text, ok := value.(string)
		if !ok {
			return nil, false
		}
		found[key] = text
	}
	return found, true
}

func functions(data any) template.FuncMap {
	environment := map[string]string{}
	if object, ok := data.(map[string]any); ok {
		if found, ok := object["EnvMap"].(map[string]string); ok {
			environment = found
		}
	}
	return template.FuncMap{
		"envOr": func(name, fallback string) string {
			if value := environment[name]; value != "" {
				return value
			}
			return fallback
		},
		"default": func(value, fallback string) string {
			if strings.TrimSpace(value) == "" {
				return fallback
			}
			return value
		},
		"ternary": func(cond bool, yes, no any) any {
			if cond {
				return yes
			}
			return no
		},
		"toLower":    strings.ToLower,
		"trimPrefix": strings.TrimPrefix,
		"slug": func(text string) string {
			return strings.NewReplacer(" ", "-", "_", "-").Replace(strings.ToLower(strings.TrimSpace(text)))
		},
		"truncSHA": func(text string) string {
			if len(text) > 12 {
				return text[:12]
			}
			return text
		},
		"join": strings.Join,
		"indent": func(width int, text string) string {
			text = strings.TrimRight(text, "\n")
			if text == "" {
				return ""
			}
			margin := strings.Repeat(" ", width)
			return margin + strings.ReplaceAll(text, "\n", "\n"+margin)
		},
		"now": func() time.Time { return now },
	}
}
